"""Packet captures: records of pcap and pcapng, decoded in batches to windows of messages."""
