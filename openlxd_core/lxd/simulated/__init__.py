"""The port to LXD in memory."""

from openlxd_core.lxd.simulated.adapter import SimulatedLxd

__all__ = ["SimulatedLxd"]
