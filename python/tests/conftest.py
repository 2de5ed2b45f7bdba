"""Settings of all tests."""

import os

# The models are tiny: threads that wait for each other would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
