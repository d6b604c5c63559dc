#!/bin/sh
#
# Starts haproxy in its container; with TLS on 7443 if deploy/tls holds a certificate.
#
set -eu
configuration=/etc/hubbub/haproxy
with_tls=
: >/tmp/certificates
for file in /etc/hubbub/tls/*.pem; do
    [ -e "$file" ] || continue
    if ! [ -r "$file" ]; then
        echo "haproxy may not read ${file##*/}: deploy/tls/README.md says how to give it the file" >&2
        exit 1
    fi
    echo "$file" >>/tmp/certificates
    with_tls="-f $configuration/tls.cfg"
done
exec haproxy -W -db -f "$configuration/common.cfg" -f "$configuration/containers.cfg" $with_tls
