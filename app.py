"""Start the studio: ``python app.py`` serves the page."""

from dyod_studio.bootstrap import serve
from dyod_studio.settings import Settings

if __name__ == "__main__":
    serve(Settings())
