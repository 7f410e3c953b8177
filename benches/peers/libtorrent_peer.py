"""A BitTorrent client of libtorrent's, reduced to one file between two addresses of this computer.

  libtorrent_peer.py seed  SOURCE TORRENT IP:PORT        writes TORRENT, says "seeding", stays
  libtorrent_peer.py fetch FOLDER TORRENT IP:PORT PEER   fetches from PEER (IP:PORT) and ends

TCP only; nothing is announced to anybody. Pieces of 1 MiB.
"""
import os
import sys

import libtorrent

PIECE_BYTES = 1 << 20


def address(text):
    ip, port = text.rsplit(":", 1)
    return ip, int(port)


def make_torrent(source, torrent):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, source)
    made = libtorrent.create_torrent(files, PIECE_BYTES)
    libtorrent.set_piece_hashes(made, os.path.dirname(source))
    with open(torrent, "wb") as out:
        out.write(libtorrent.bencode(made.generate()))


def main(what, place, torrent, listen, *peers):
    if what == "seed":
        make_torrent(place, torrent)
        place = os.path.dirname(place)
    session = libtorrent.session({
        "listen_interfaces": listen,
        "outgoing_interfaces": address(listen)[0],
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": libtorrent.alert.category_t.status_notification,
    })
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(torrent)
    params.save_path = place
    handle = session.add_torrent(params)
    for peer in peers:
        handle.connect_peer(address(peer))
    while not handle.status().is_seeding:
        session.wait_for_alert(200)
        session.pop_alerts()
    print("seeding", flush=True)
    while what == "seed":
        session.wait_for_alert(10_000)
        session.pop_alerts()


main(*sys.argv[1:])
