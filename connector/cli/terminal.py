"""What others wrote is shown without letting it steer the terminal that it is shown on."""


def printable(text: str) -> str:
    """A broker's error, an attribute's name or a value may hold an escape sequence, or a line that looks like ours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
