"""Pouch against the engines that people have, on one machine in one run: `python -m benchmarks run`.

Every peer is started by us, in a directory, on a socket and with a storage of its own, and ended afterwards.
All have the same image. The commands of a row take turns in an order drawn anew for each round, so that a
noisy minute meets all alike; what counts are the ratios of one run, not times of different runs.
"""
