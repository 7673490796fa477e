"""LXD's network forwards, brought in line with the rows of port forwards and compared with them."""
