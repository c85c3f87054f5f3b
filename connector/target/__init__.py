"""The endpoint's room: how an update is written, sent, and what an answer means, so that HTTP is known nowhere else."""
