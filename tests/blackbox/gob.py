"""gob: as much of Go's encoding/gob as carries struct { Type int; Sender, Content string }, for tests."""

import socket
import sys
import threading

STRUCT_TYPE = 2  # where a wireType has its StructT, counted from 0
INT, STRING = 2, 6
MESSAGE = (("Type", INT), ("Sender", STRING), ("Content", STRING))
FIRST_ID = 65


class Broken(Exception):
    """What a Go decoder would return an error for."""


def uint(number):
    """Up to 127 one byte; else the count of the bytes that follow, negated, and these."""
    if number < 128:
        return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - len(digits)]) + digits


def sint(number):
    return uint(~number << 1 | 1 if number < 0 else number << 1)


def string(text):
    data = text.encode()
    return uint(len(data)) + data


def struct(*fields):
    """Fields by number; those that are None are not sent."""
    out, last = b"", -1
    for number, data in enumerate(fields):
        if data is not None:
            out, last = out + uint(number - last) + data, number
    return out + b"\0"


def framed(data):
    return uint(len(data)) + data


def definition(number):
    fields = b"".join(struct(string(name), sint(kind)) for name, kind in MESSAGE)
    common = struct(string("Message"), sint(number))
    return framed(sint(-number) + struct(None, None, struct(common, uint(len(MESSAGE)) + fields)))


class Encoder:
    """Like a gob.Encoder on one connection; `fresh`: like a new one for each message."""

    def __init__(self, fresh=False):
        self.fresh, self.defined = fresh, False

    def encode(self, kind, sender, content):
        value = struct(sint(kind) if kind else None, string(sender) if sender else None,
                       string(content) if content else None)
        head = b"" if self.defined else definition(FIRST_ID)
        self.defined = not self.fresh
        return head + framed(sint(FIRST_ID) + value)


class Reader:
    """Takes values from the front of `data`."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        if self.at + count > len(self.data):
            raise EOFError
        self.at += count
        return self.data[self.at - count:self.at]

    def uint(self):
        first = self.bytes(1)[0]
        if first < 128:
            return first
        if first < 248:
            raise Broken("a number of more than 8 bytes")
        return int.from_bytes(self.bytes(256 - first), "big")

    def sint(self):
        number = self.uint()
        return ~(number >> 1) if number & 1 else number >> 1

    def string(self):
        return self.bytes(self.uint()).decode()

    def fields(self, limit):
        """The numbers of the fields that are there; the caller reads each one's value."""
        number = -1
        while (step := self.uint()):
            number += step
            if number >= limit:
                raise Broken(f"there is no field {number}")
            yield number


class Decoder:
    """Like a gob.Decoder on one connection; `fresh`: like a new one for each message."""

    def __init__(self, fresh=False):
        self.fresh = fresh
        self.types = {}  # id -> ((name, type id), ...)

    def decode(self, data):
        """(Type, Sender, Content) of the first message and how many bytes it had, or None: it is not all there."""
        reader, types = Reader(data), dict(self.types)
        try:
            while True:
                message = Reader(reader.bytes(reader.uint()))
                number = message.sint()
                if number >= 0:
                    break
                define(types, -number, message)
        except EOFError:
            return None
        self.types = {} if self.fresh else types
        return read_value(types, number, message), reader.at


def read_pair(reader):
    """A struct of a name and a type id: a CommonType, or a field's type."""
    found = [None, 0]
    for part in reader.fields(2):
        found[part] = reader.string() if part == 0 else reader.sint()
    return tuple(found)


def define(types, number, reader):
    if number in types:
        raise Broken(f"type {number} is defined again")
    fields, name, own = (), None, None
    for kind in reader.fields(7):
        if kind != STRUCT_TYPE:
            raise Broken("only structs are expected here")
        for part in reader.fields(2):
            if part == 0:
                name, own = read_pair(reader)
            else:
                fields = tuple(read_pair(reader) for _ in range(reader.uint()))
    if reader.at != len(reader.data) or not name or own != number:
        raise Broken(f"a definition of {number} that says {own} and {name}, or with something behind it")
    types[number] = fields


def read_value(types, number, reader):
    if number not in types:
        raise Broken(f"type {number} was not defined")
    value = {"Type": 0, "Sender": "", "Content": ""}
    if sorted(types[number]) != sorted(MESSAGE):
        raise Broken(f"the fields are {types[number]}")
    for field in reader.fields(len(MESSAGE)):
        name, kind = types[number][field]
        value[name] = reader.sint() if kind == INT else reader.string()
    if reader.at != len(reader.data):
        raise Broken("a value with something behind it")
    return value["Type"], value["Sender"], value["Content"]


def main():
    """The client of docs/PROTOCOLS.md, for where there is no Go: HOST PORT NAME."""
    server = socket.create_connection(sys.argv[1:3])
    encoder, decoder, data = Encoder(), Decoder(), b""

    def say():
        server.sendall(encoder.encode(1, sys.argv[3], ""))
        for line in sys.stdin:
            server.sendall(encoder.encode(0, "", line.rstrip("\n")))
        server.sendall(encoder.encode(2, "", ""))

    threading.Thread(target=say, daemon=True).start()
    while (more := server.recv(65536)):
        data += more
        while (found := decoder.decode(data)):
            (kind, sender, content), used = found
            data = data[used:]
            print(sender + (": ", " joined", " left")[kind] + content, flush=True)


if __name__ == "__main__":
    main()
