"""Starts Palimpsest: ``launch.py`` opens the studio, ``launch.py --help`` lists the other commands."""

if __name__ == "__main__":  # the device's process reads this file as well, and has no use for the command line
    from studio.cli.main import main

    main()
