"""Starts Palimpsest: ``launch.py`` opens the studio, ``launch.py --help`` lists the other commands."""

from studio.cli.main import main

if __name__ == "__main__":
    main()
