"""The judgement of `connector verify` in random worlds of the sandbox, whose own word is the truth."""
