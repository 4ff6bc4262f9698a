"""What a user must do before Earth Engine answers; QGIS's process says it without asking the server."""

from __future__ import annotations

REGISTER = "https://console.cloud.google.com/earth-engine"
"""Where a project is registered, and where its quota is shown."""
ENABLE = "https://console.cloud.google.com/apis/library/earthengine.googleapis.com"

NO_PROJECT = (
    "PROJECT: Earth Engine needs the id of a Google Cloud project. Register one, free of charge for "
    f"non-commercial use, at {REGISTER}, and give its id, such as my-project-123, as PROJECT or once for "
    "all in Settings > Options > Image to DEM"
)


def sign_in(interpreter: str) -> str:
    """How to sign in, with the command to run."""
    return (
        "KEY_FILE: nobody is signed in to Earth Engine on this computer. Open a terminal, run\n"
        f'  "{interpreter}" -m ee.cli.eecli authenticate\n'
        "and follow the page that opens in the browser; then run this again. Or give the key file of a "
        "service account as KEY_FILE, or in Settings > Options > Image to DEM"
    )


def unreadable_key(path: str, reason: str) -> str:
    """A key file that cannot be opened."""
    return f"KEY_FILE: {path} cannot be read ({reason})"


def no_key(path: str) -> str:
    """A file that is no key."""
    return (
        f"KEY_FILE: {path} is no key of a service account: make one as JSON in the Google Cloud console "
        "(IAM, Service Accounts, Keys)"
    )
