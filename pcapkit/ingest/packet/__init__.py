"""One packet, from its link layer through tunnels to its UDP or TCP payload."""
