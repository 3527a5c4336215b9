"""Runs a command behind a pseudo-terminal: python3 behind-a-terminal.py '[["waits for", "sends"], ...]' COMMAND ARGUMENT...

Prints all that the command wrote, and ends with its exit code.
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
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
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
    while steps and steps[0][0].encode() in written[seen:]:
        waited, sent = steps.pop(0)
        seen = written.index(waited.encode(), seen) + len(waited.encode())
        os.write(terminal, sent.encode())
sys.stdout.buffer.write(written)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
