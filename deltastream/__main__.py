"""``python -m deltastream``."""

from deltastream.cli import main

if __name__ == "__main__":
    main()
