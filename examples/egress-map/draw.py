#!/usr/bin/env python3
"""Draws where the world's clients would leave: one dot for each city of tzdata and of the pools, in the colour of the pool that
`masqueproxyd --explain-egress` names for it, and a line to it where that is in its own country.

    python3 draw.py egress.csv map.svg [--masqueproxyd PROGRAM] [--target v4|v6]

Goal: an operator sees at a glance which countries have no pool, and which city is served from the wrong one."""
import argparse
import colorsys
import csv
import html
import re
import subprocess

ZONES = "/usr/share/zoneinfo/zone.tab"
ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
WIDTH, HEIGHT, LEGEND = 1080, 540, 24
NOWHERE = "#9aa0a6"


def geohash(latitude, longitude, length=5):
    low, high, digits, even = [-180.0, -90.0], [180.0, 90.0], "", 0
    for _ in range(length):
        digit = 0
        for _ in range(5):
            middle = (low[even] + high[even]) / 2
            above = (longitude, latitude)[even] >= middle
            (low if above else high)[even] = middle
            digit, even = digit << 1 | above, 1 - even
        digits += ALPHABET[digit]
    return digits


def centre(text):
    low, high, even = [-180.0, -90.0], [180.0, 90.0], 0
    for digit in map(ALPHABET.index, text):
        for bit in (16, 8, 4, 2, 1):
            (low if digit & bit else high)[even] = (low[even] + high[even]) / 2
            even = 1 - even
    return (low[1] + high[1]) / 2, (low[0] + high[0]) / 2


def degrees(text):
    """"+3539" or "-0622130" """
    digits = text[1:]
    whole = len(digits) % 2 + 2
    parts = [digits[:whole], digits[whole:whole + 2], digits[whole + 2:]]
    value = sum(int(part or 0) / unit for part, unit in zip(parts, (1, 60, 3600)))
    return -value if text[0] == "-" else value


def cities(pools):
    """Those of the pools, and of the world."""
    with open(pools, encoding="utf-8", newline="") as file:
        for line in csv.reader(line for line in file if not line.startswith("#")):
            if len(line) > 5 and line[5].strip():
                yield (line[1].strip(), *centre(line[5].strip()))
    with open(ZONES, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                country, point, _ = line.split("\t")[:3]
                latitude, longitude = re.findall(r"[+-]\d+", point)
                yield country, degrees(latitude), degrees(longitude)


def decide(options, place):
    """The level, the pool as it is written, and its geohash or ""."""
    done = subprocess.run([options.masqueproxyd, "--pools", options.pools, "--explain-egress", place, "--target",
                           options.target], capture_output=True, text=True, check=True)
    lines = dict(line.strip().split(":", 1) for line in done.stdout.split("\n") if ":" in line)
    if "pool" not in lines:
        return "none", "nowhere", ""
    pool = re.sub(r" \(.*\)$", "", lines["pool"].strip()).split(", ")
    placed = len(pool) > 1 and re.fullmatch(f"[{ALPHABET}]+", pool[-1])
    return lines["level"].split(":")[0].strip(), ", ".join(pool[:-1] if placed else pool), pool[-1] if placed else ""


def xy(latitude, longitude):
    return (longitude + 180) / 360 * WIDTH, (90 - latitude) / 180 * HEIGHT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools")
    parser.add_argument("picture")
    parser.add_argument("--masqueproxyd", default="masqueproxyd")
    parser.add_argument("--target", default="v4", choices=["v4", "v6"])
    options = parser.parse_args()
    decisions = [(latitude, longitude, *decide(options, f"{geohash(latitude, longitude)}-{country}"))
                 for country, latitude, longitude in cities(options.pools)]
    pools = sorted({(pool, place) for _, _, level, pool, place in decisions if level in ("city", "country")})
    # Neighbours in the list are far apart on the wheel of colours.
    colours = {pool: "#%02x%02x%02x" % tuple(int(255 * part) for part in colorsys.hls_to_rgb(
        i * 0.381966 % 1, 0.36 + 0.12 * (i % 2), 0.75)) for i, (pool, _) in enumerate(pools)}
    rows = (len(pools) + 3) // 4
    height = HEIGHT + LEGEND * (rows + 2)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
             f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#eef3f7"/>']
    for longitude in range(-150, 180, 30):
        x, _ = xy(0, longitude)
        parts.append(f'<path d="M{x:.0f} 0V{HEIGHT}" stroke="#d5dee6"/>')
    for latitude in range(-60, 90, 30):
        _, y = xy(latitude, 0)
        parts.append(f'<path d="M0 {y:.0f}H{WIDTH}" stroke="#d5dee6"/>')
    for latitude, longitude, level, pool, place in decisions:
        x, y = xy(latitude, longitude)
        if level in ("city", "country") and place:
            to_x, to_y = xy(*centre(place))
            parts.append(f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colours[pool]}" opacity=".45"/>')
    for latitude, longitude, level, pool, _ in decisions:
        x, y = xy(latitude, longitude)
        colour = colours[pool] if level in ("city", "country") else NOWHERE
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3.4 if colour != NOWHERE else 2.2}" fill="{colour}"/>')
    for pool, place in pools:
        if place:
            x, y = xy(*centre(place))
            parts.append(f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colours[pool]}" '
                         'stroke="#000" stroke-width="1.4"/>')
    counts = {pool: sum(d[3] == pool and d[2] in ("city", "country") for d in decisions) for pool, _ in pools}
    for i, (pool, _) in enumerate(pools):
        x, y = 14 + i % 4 * (WIDTH // 4), HEIGHT + LEGEND * (i // 4 + 1)
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colours[pool]}" stroke="#000"/>'
                     f'<text x="{x + 17}" y="{y}">{html.escape(pool)} ({counts[pool]})</text>')
    others = sum(d[2] not in ("city", "country") for d in decisions)
    y = HEIGHT + LEGEND * (rows + 1)
    parts.append(f'<circle cx="19" cy="{y - 4}" r="3" fill="{NOWHERE}"/><text x="31" y="{y}">no pool in the country: '
                 f'default ({others} of {len(decisions)} cities)</text></svg>')
    with open(options.picture, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
