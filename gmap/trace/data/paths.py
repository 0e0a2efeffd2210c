"""Shortest routes through a town of 200 by 200 crossings: A* over objects that name objects.

README.md beside this file tells how the trace paths.csv.xz was recorded from it.
"""

import gc
import heapq
import random
import sys
from itertools import pairwise

SIDE = 200
ROUTES = 3


class Crossing:
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y
        self.streets: list[tuple[Crossing, float]] = []


def build(chance: random.Random) -> list[list[Crossing]]:
    """Return the crossings by row, with streets to the next ones and back."""
    town = [[Crossing(x, y) for x in range(SIDE)] for y in range(SIDE)]
    columns = zip(*town, strict=True)
    for line in (*town, *columns):
        for here, there in pairwise(line):
            minutes = 1 + chance.random()
            here.streets.append((there, minutes))
            there.streets.append((here, minutes))
    return town


def minutes_between(start: Crossing, goal: Crossing) -> float:
    """Return how long the shortest route takes."""
    best = {start: 0.0}
    queue = [(0.0, 0, start)]
    n_queued = 1
    while queue:
        here = heapq.heappop(queue)[2]
        if here is goal:
            break
        so_far = best[here]
        for there, minutes in here.streets:
            total = so_far + minutes
            if there not in best or total < best[there]:
                best[there] = total
                to_go = abs(there.x - goal.x) + abs(there.y - goal.y)
                heapq.heappush(queue, (total + to_go, n_queued, there))
                n_queued += 1
    return best[goal]


def main() -> None:
    gc.disable()  # nothing here becomes garbage
    chance = random.Random(2026)
    town = build(chance)
    for _ in range(ROUTES):
        start, goal = (chance.choice(chance.choice(town)) for _ in range(2))
        sys.stdout.write(f"{minutes_between(start, goal):.1f} minutes\n")


if __name__ == "__main__":
    main()
