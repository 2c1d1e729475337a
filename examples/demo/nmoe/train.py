"""A stand-in for a trainer: it trains nothing, and prints the lines that a trainer prints."""

import random
import re
import sys
import time


def main(argv):
    config, steps = argv[0], 10
    for option in argv[1:]:
        if option.startswith("--steps="):
            steps = int(option.removeprefix("--steps="))
    with open(config, encoding="utf-8") as file:
        tokens = int(re.search(r"^batch_tokens = (\d+)$", file.read(), re.M).group(1))
    noise = random.Random(tokens)
    loss = 6.0
    for step in range(1, steps + 1):
        time.sleep(0.02)
        loss *= 0.98 + 0.01 * noise.random()
        warm = 0.6 if step == 1 else 1.0
        tps = warm * (10_000 + tokens / 4 + noise.uniform(-150, 150))
        print(f"step {step}/{steps} loss: {loss:.3f} node_tps: {tps:,.0f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
