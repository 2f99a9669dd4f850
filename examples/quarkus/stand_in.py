"""A STAND-IN for a load on a Quarkus server: a formula with noise that looks like one.

Nothing is deployed or measured here; only the shape of the study is the real one.
"""

import random
import sys


def main(words: list[str]) -> None:
    cpu, memory = float(words[0]), float(words[1])
    inlining, level, threads, pool = (float(words[place]) for place in (3, 13, 27, 30))
    escape = words[21] == "true"
    speed = min(cpu, 3.2) * (0.6 + 0.1 * level) * (1.08 if escape else 1.0)
    speed *= 1 + 0.004 * min(inlining, 30) - 0.01 * abs(threads - 8) / 8
    speed *= min(1.0, memory / 600) * (1 - 0.002 * abs(pool - 40))
    print("Instances, throughput, response_time, max_response_time")
    for _ in range(3):
        noise = random.gauss(1.0, 0.01)
        rate = 1000 * max(speed, 0.05) * noise
        print(f"1, {rate:.3f}, {4000 / rate:.4f}, {90000 / rate * random.uniform(0.97, 1.03):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
