"""Makes bep52.txt with libtorrent, an implementation of BEP 52 that is independent of klatch.

    python3 -m venv venv && venv/bin/pip install libtorrent
    venv/bin/python bep52.py > bep52.txt

Needs about 300 MB of free space in the temporary folder.
"""

import hashlib
import os
import struct
import tempfile

import libtorrent

KIB, MIB = 1024, 1024 * 1024
COUNT = [
    (1, 256 * KIB),
    (16 * KIB - 1, 256 * KIB),
    (16 * KIB, 256 * KIB),
    (16 * KIB + 1, 256 * KIB),
    (48 * KIB, 256 * KIB),
    (80 * KIB + 5, 256 * KIB),
    (256 * KIB - 1, 256 * KIB),
    (256 * KIB, 256 * KIB),
    (256 * KIB + 1, 256 * KIB),
    (1 * MIB + 7, 256 * KIB),
    (5 * MIB, 256 * KIB),
    (256 * MIB, 256 * KIB),
    (256 * MIB + 1, 512 * KIB),
]
ZERO = [(1 << 30, 1 * MIB), (20_000_000_000, 16 * MIB)]


def write_count(path, length):
    with open(path, "wb") as file:
        for start in range(0, length, MIB):
            words = struct.pack(">131072Q", *range(start // 8, start // 8 + 131072))
            file.write(words[: length - start])


def write_zero(path, length):
    with open(path, "wb") as file:
        file.truncate(length)


def vector(content, write, length, piece_length):
    with tempfile.TemporaryDirectory() as folder:
        write(os.path.join(folder, "data"), length)
        entry = libtorrent.create_file_entry("data", length)
        torrent = libtorrent.create_torrent([entry], piece_length, libtorrent.create_torrent.v2_only)
        libtorrent.set_piece_hashes(torrent, folder)
        made = torrent.generate()
    info = made[b"info"]
    assert info[b"piece length"] == piece_length
    root = info[b"file tree"][b"data"][b""][b"pieces root"]
    layer = made[b"piece layers"].get(root, b"")
    digest = hashlib.sha256(layer).hexdigest() if layer else "-"
    print(content, length, piece_length, root.hex(), digest)


print(f"""# Roots of BitTorrent v2 (BEP 52), made by bep52.py with libtorrent {libtorrent.__version__}.
#
# Content `count`: the byte at offset i is byte i % 8 (big-endian) of the 64-bit number i / 8.
# Content `zero`: zeros.
# Columns: content, length in bytes, piece length in bytes, `pieces root`,
# SHA-256 of the file's `piece layers` string (- where the file has one piece and so no layer).""")
for length, piece_length in COUNT:
    vector("count", write_count, length, piece_length)
for length, piece_length in ZERO:
    vector("zero", write_zero, length, piece_length)
