"""Settings of all tests."""

import os
import signal

# The models are tiny: threads that wait for each other would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background may ignore Ctrl-C, and every process would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
