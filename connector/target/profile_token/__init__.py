"""How a profile token is had: what the answers mean and what is done next (both pure), and the asking."""
