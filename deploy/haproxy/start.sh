#!/bin/sh
#
# Starts haproxy in its container; with TLS on 7443 if deploy/tls holds a certificate.
#
set -eu
configuration=/etc/hubbub/haproxy
plain="-f $configuration/common.cfg -f $configuration/containers.cfg"
with_tls=
: >/tmp/certificates
for file in /etc/hubbub/tls/*.pem; do
    [ -e "$file" ] || continue
    case $file in
    *[[:space:]]*)
        echo "haproxy leaves out deploy/tls/${file##*/}: its name has a space in it" >&2
        continue
        ;;
    esac
    if ! [ -r "$file" ]; then
        echo "haproxy may not read deploy/tls/${file##*/}: deploy/tls/README.md says how to give it the file" >&2
        continue
    fi
    echo "$file" >>/tmp/certificates
    with_tls="-f $configuration/tls.cfg"
done
# A bad certificate costs TLS, not the chat.
if [ -n "$with_tls" ] && ! haproxy -q -c $plain $with_tls; then
    echo "haproxy goes on without TLS: a certificate in deploy/tls is not good" >&2
    with_tls=
fi
# -q: it logs once; without it each change of a server is told twice.
exec haproxy -q -W -db $plain $with_tls
