"""Start the studio: ``python app.py`` serves the page."""

from dyod_studio.bootstrap import page_studio
from dyod_studio.settings import Settings
from dyod_studio.ui.launching import launch


def main() -> None:
    """Serve the page until it is interrupted."""
    settings = Settings()
    with page_studio(settings) as studio:
        launch(studio, settings)


if __name__ == "__main__":
    main()
