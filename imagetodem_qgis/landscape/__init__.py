"""Virtual landscapes: terrain from noise, and the image of a terrain."""
