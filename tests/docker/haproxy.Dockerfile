# Stands in for haproxy:3.0 where images cannot be pulled: Debian's haproxy 3.0, with what the compose file uses of that
# image.

FROM debian:trixie-slim
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && \
    apt-get update && apt-get install -y --no-install-recommends haproxy && \
    groupmod --gid 99 haproxy && usermod --uid 99 haproxy && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER haproxy
WORKDIR /var/lib/haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
