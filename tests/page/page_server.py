"""
`trm-aes demo` in a process of its own, which tells on standard error of each connection to another machine, of each file
that is opened to be written, and for how many visitors something is held.
"""

import signal
import sys
import threading
import time

# A shell that runs the tests in the background lets what it starts ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


def tell(event, args):
    if event == "socket.getaddrinfo" and args[0] not in (None, *LOCAL):
        print(f"ASKED FOR {args[0]}", file=sys.stderr, flush=True)
    elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in LOCAL:
        print(f"CONNECTED TO {args[1][0]}", file=sys.stderr, flush=True)
    elif event == "open" and isinstance(args[0], str) and args[2] & WRITES and not is_quiet(args[0]):
        print(f"WROTE {args[0]}", file=sys.stderr, flush=True)


def is_quiet(path):
    return path.startswith("/dev/null") or "__pycache__" in path


def tell_visitors():
    """Tells for how many visitors Gradio holds what they have sent."""
    from gradio import Blocks

    before = 0
    while True:
        time.sleep(0.2)
        held = sum(
            len(page.state_holder.session_data) for page in list(Blocks.instances) if hasattr(page, "state_holder")
        )
        if held != before:
            print(f"HOLDS {held}", file=sys.stderr, flush=True)
        before = held


if __name__ == "__main__":
    import os

    from trm_aes.cli.main import main

    WRITES = os.O_WRONLY | os.O_RDWR
    sys.addaudithook(tell)
    threading.Thread(target=tell_visitors, daemon=True).start()
    sys.argv = ["trm-aes", "demo", *sys.argv[1:]]
    sys.exit(main())
