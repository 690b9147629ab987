"""Runs and intervals of validity, time, checksums, files. Standard library only; imports nothing of b2cal."""
