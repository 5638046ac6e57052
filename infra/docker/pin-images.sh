#!/bin/sh
# Pin every image of docker-compose.yml and the Dockerfile to the digest that its tag has today. Needs
# Docker with buildx and the registries; review the difference before you commit it.
set -eu
cd "$(dirname "$0")/../.."
files="docker-compose.yml infra/docker/Dockerfile"
# shellcheck disable=SC2086 # two files
grep -ohE '_IMAGE(:-|=)[a-z0-9./-]+:[A-Za-z0-9._-]+' $files | sed -E 's/^_IMAGE(:-|=)//' | sort -u |
    while read -r image; do
        digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
        case $digest in
            sha256:*) ;;
            *) echo "$image has no digest: $digest" >&2 && exit 1 ;;
        esac
        sed -i -E "s|$image(@sha256:[0-9a-f]{64})?|$image@$digest|" $files
        echo "$image@$digest"
    done
