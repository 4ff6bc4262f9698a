"""A DEM as a page that shows it in three dimensions: read, simplified, packed, put into one file."""
