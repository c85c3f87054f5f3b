"""The quota's protocol in random worlds: the real holder, fold and gate; all around them misbehaves."""
