# Stands in for redis:8 where images cannot be pulled: Debian's Redis 8, with what the compose file uses of that image.

FROM debian:trixie-slim
RUN groupadd --gid 999 redis && useradd --uid 999 --gid 999 --no-create-home --home-dir /data redis && \
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && \
    apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* /var/cache/apt/* && \
    mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
CMD ["redis-server"]
