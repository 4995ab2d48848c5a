"""The Space: the studio for strangers, with what the surroundings of a Space say."""

if __name__ == "__main__":  # the device's process reads this file as well, and has no use for the page
    from studio.cli.space import serve_space

    serve_space()
