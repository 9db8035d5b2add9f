"""Worlds: providers and gateways that refuse in every way they do, each drawn by a seed, with an oracle's time.

    from flowpool.worlds import draw_scene

    scene = draw_scene("cap most=4..20 + chance share=0.01", seed=7)
    world = scene.world()
    world.offer(0.0, Call(input=100))

A world takes the time and has its own random numbers; it knows no clock and no sockets.
"""

from flowpool.worlds.kinds import KINDS
from flowpool.worlds.scene import Scene, draw_scene
from flowpool.worlds.values import Arrival, Offered, Served, TurnedAway
from flowpool.worlds.world import World

__all__ = ["KINDS", "Arrival", "Offered", "Scene", "Served", "TurnedAway", "World", "draw_scene"]
