"""Which of the workers of this host a process is: a number that is its alone, and free again when it ends, however."""

from __future__ import annotations

import hashlib
import socket
import sys
from dataclasses import dataclass

from consumer.errors import SettingsError

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Slot:
    """A name with the lowest number that no other process of this host held. The socket holds it."""

    name: str
    held: socket.socket

    def free(self) -> None:
        """Let another process have the number."""
        self.held.close()


def claim(group: str) -> Slot:
    """Take `GROUP-HOST-NUMBER`; raise `SettingsError` where the system has no way to hold it.

    The kernel gives a number back the moment its process is gone, so that the next one takes it up.
    """
    if sys.platform != "linux":
        raise SettingsError(
            "transactional_id is not set, and only Linux can find one; give every worker its own, the same after a "
            "restart (--transactional-id, RANER_TRANSACTIONAL_ID)"
        )
    for number in range(_MOST):
        name = f"{group}-{socket.gethostname()}-{number}"
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind("\0raner-stream-" + hashlib.sha256(name.encode()).hexdigest())  # a name, and no file
        except OSError:
            holder.close()
            continue
        return Slot(name, holder)
    raise SettingsError(f"{_MOST} workers of group {group!r} run on this host; set RANER_TRANSACTIONAL_ID")
