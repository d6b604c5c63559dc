#!/usr/bin/python3
"""Draws docs/client.svg: what the client shows of a conversation, which this has on real programs.

A private Redis, PostgreSQL, store and two gateways; Ann and Bob with the client on terminals, some with sockets in the
dialect `line`, a script.  Nothing is drawn that was not read from Ann's terminal: this only types, and reads.
"""

import argparse
import html
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/blackbox"))
import client  # noqa: E402
from hubbub import Hubbub  # noqa: E402
from person import Person  # noqa: E402
from relay import Relay  # noqa: E402
from terminal import control, pasted  # noqa: E402

COLUMNS, ROWS = 80, 20

# Pixels, and colours: a terminal with a dark background.
CELL, LINE, SIZE, MARGIN = 8.4, 18, 14, 14
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
TEXT, BACKGROUND, DIMMED, CURSOR = "d4d4d4", "1d1f21", "7f8285", "a8a8a8"


class Door:
    """Where Ann's connections lead to, as through haproxy: to gateway 1 at first."""

    def __init__(self, hubbub):
        self.hubbub, self.gateway = hubbub, 1

    @property
    def port(self):
        return self.hubbub.port("json", self.gateway)


def say(person, line, *others):
    """Types a line, and waits until it is accepted and these others have seen it."""
    person.type(line)
    person.until(lambda: any(line in shown for shown in person.said()), line)
    person.until_gone("not said yet")
    for other in others:
        other.until_shown(line)


def converse(hubbub, door, relay, people):
    """Leaves Ann's screen as it is to be drawn; returns Ann."""
    def sit_down(port, *arguments):
        people.append(Person(port, *arguments, columns=COLUMNS, rows=ROWS).until_connected())
        return people[-1]

    naman = hubbub.line("naman", gateway=2)
    naman.send("JOIN dev")
    naman.expect("OK")
    bob = sit_down(hubbub.port("json", 2), "-u", "Bob", "-r", "dev")
    say(bob, "good morning. the migration went through, it took 12 seconds")
    naman.send("MSG so that was all? I had taken the day off for it")
    bob.until_shown("taken the day off")

    ann = sit_down(relay.port, "-u", "Ann", "-r", "dev")
    ann.until_shown("taken the day off")
    crowd = [hubbub.line(name, gateway=2) for name in ("Yuki", "Tom", "Lea", "Ole")]
    for one in crowd:
        one.send("JOIN dev")
        one.expect("OK")
    crowd[1].send("QUIT")
    ann.until_shown("1 left")
    crowd[0].send("MSG おはよう! is there anything left to do?")
    ann.until_shown("anything left")
    bob.until_shown("anything left")
    say(bob, "Ann, would you kill a gateway? let us see who notices", ann)
    say(ann, "gateway 1, where I am myself. now!", bob)

    # Ann's gateway is killed, and what Ann says meanwhile waits.
    door.gateway = 2
    relay.to_gateway.shut()
    hubbub.gateways[0].kill()
    ann.until_shown("Trying again")
    ann.type("is this thing on?")
    ann.until_shown("1 not said yet")
    say(bob, "nothing at all here")
    relay.to_gateway.open()
    ann.until_shown("nothing at all here")
    ann.until_gone("not said yet")
    bob.until_shown("is this thing on?")

    bob.press(pasted("for the notes:\n  1. kill -9 of gateway 1\n  2. its people are on gateway 2"))
    bob.until_shown("as one text (y or n)?")
    bob.press("y")
    ann.until_shown("its people are")
    crowd[2].send("MSG that is less than my coffee machine does after a power cut: it forgets the time, the date and "
                  "whose turn it is to clean it")
    ann.until_shown("to clean it")
    bob.type("/msg Ann lunch at one?")
    ann.until_shown("lunch at one?")
    ann.type("/msg Bob gladly")
    bob.until_shown("gladly")

    ann.type("/join ops")
    ann.until_shown("[ops]")
    ann.press(control("n"))
    ann.until_shown("[dev]")
    status, errors = client.run(hubbub.port("json", 2), "-u", "ci-bot", "-r", "ops",
                                given=b"deploy of 1.4 began\ndeploy of 1.4 is done, Ann\n")
    assert status == 0, errors
    ann.until_shown("ops:2!")
    ann.press("then let us ")
    ann.until(lambda: ann.lines()[-1] == "> then let us", "what is typed")
    return ann


# The drawing -------------------------------------------------------------------------------------------------------

def look(cell):
    """How a cell looks: the colours of text and background, and whether it is bold."""
    text = TEXT if cell.fg == "default" else cell.fg
    background = BACKGROUND if cell.bg == "default" else cell.bg
    if cell.dim:
        text = DIMMED
    return (background, text, cell.bold) if cell.reverse else (text, background, cell.bold)


def runs(cells):
    """Cuts a line of the screen: yields (column, width, text, look) of what looks alike."""
    start = 0
    for at in range(1, len(cells) + 1):
        if at == len(cells) or look(cells[at]) != look(cells[start]):
            yield start, at - start, cells[start:at], look(cells[start])
            start = at


def words(column, cells):
    """Yields (column, width, text) of each word, a wide character being one by itself: whatever the font, no blank has
    to keep its width then, and none is pushed out of its cells."""
    def ends(at):
        return at == len(cells) or cells[at].data == " " or is_wide(at)

    def is_wide(at):
        return at + 1 < len(cells) and cells[at + 1].data == ""

    start = 0
    while start < len(cells):
        end = start + 1
        if is_wide(start):
            end += 1
        elif cells[start].data != " ":
            while not ends(end):
                end += 1
        if cells[start].data != " ":
            yield column + start, end - start, "".join(one.data for one in cells[start:end])
        start = end


def number(value):
    return f"{value:.1f}".removesuffix(".0")


def draw(display):
    width, height = COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} {number(height)}" '
           f'width="{number(width)}" height="{number(height)}" font-family="{FONTS}" font-size="{SIZE}">',
           "<title>hubbub, the client, in a room called dev</title>",
           f'<rect width="100%" height="100%" rx="8" fill="#{BACKGROUND}"/>']
    x, y = (lambda column: number(MARGIN + column * CELL)), (lambda row: number(MARGIN + row * LINE))
    cursor = display.cursor
    if not cursor.hidden:
        svg.append(f'<rect x="{x(cursor.x)}" y="{y(cursor.y)}" width="{CELL}" height="{LINE}" fill="#{CURSOR}"/>')
    for row in range(ROWS):
        cells = [display.buffer[row][column] for column in range(COLUMNS)]
        line = []
        for column, wide, part, (text, background, bold) in runs(cells):
            if background != BACKGROUND:
                svg.append(f'<rect x="{x(column)}" y="{y(row)}" width="{number(wide * CELL)}" height="{LINE}" '
                           f'fill="#{background}"/>')
            weight = ' font-weight="bold"' if bold else ""
            for at, wide, word in words(column, part):
                line.append(f'<tspan x="{x(at)}" textLength="{number(wide * CELL)}" lengthAdjust="spacingAndGlyphs" '
                            f'fill="#{text}"{weight}>{html.escape(word, quote=False)}</tspan>')
        if line:
            svg.append(f'<text y="{number(MARGIN + row * LINE + SIZE - 0.5)}">{" ".join(line)}</text>')
    return "\n".join(svg + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--svg", default=os.path.join(HERE, "client.svg"), help="where it goes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    hubbub, people, problems = Hubbub(gateways=2), [], []
    door = Door(hubbub)
    try:
        hubbub.start()
        with Relay(door) as relay:
            drawn = draw(converse(hubbub, door, relay, people).display)
    finally:
        for person in people:
            person.close()
        problems = hubbub.stop()
        hubbub.remove()
    if problems:
        sys.exit("\n".join(problems))
    with open(options.svg, "w", encoding="utf-8") as file:
        file.write(drawn)


if __name__ == "__main__":
    main()
