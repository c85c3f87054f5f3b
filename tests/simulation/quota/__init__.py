"""The quota's protocol in random worlds: the real holder, fold and gate, with faults all around them."""
