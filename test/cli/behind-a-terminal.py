"""Runs a command behind a pseudo-terminal: python3 behind-a-terminal.py '[["waits for", "sends"], ...]' COMMAND ARGUMENT...

A step that sends a list of two numbers, rows and columns, changes the size of the terminal, which has 50 and 200.
Prints what the command writes, as it comes, and ends with its exit code.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

steps, command = json.loads(sys.argv[1]), sys.argv[2:]


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


pid, terminal = pty.fork()
if pid == 0:
    resize(0, 50, 200)
    os.execvp(command[0], command)
written, seen = b"", 0
while True:
    ready, _, _ = select.select([terminal], [], [], 120)
    if not ready:
        sys.exit(f"nothing came any more; all that did: {written!r}")
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    written += more
    sys.stdout.buffer.write(more)
    sys.stdout.buffer.flush()
    while steps and steps[0][0].encode() in written[seen:]:
        waited, sent = steps.pop(0)
        seen = written.index(waited.encode(), seen) + len(waited.encode())
        if isinstance(sent, str):
            os.write(terminal, sent.encode())
        else:
            resize(terminal, *sent)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
