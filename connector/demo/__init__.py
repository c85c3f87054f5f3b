"""The demo: the whole job on one machine, judged at its end by comparing every profile with the events that made it."""
