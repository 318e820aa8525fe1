"""`python -m triceras` is the `triceras` command."""

from triceras.apps.cli import main

if __name__ == "__main__":
    main()
