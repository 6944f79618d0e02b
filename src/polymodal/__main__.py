"""``python -m polymodal``."""

from polymodal.cli import main

if __name__ == "__main__":
    main()
