#!/bin/sh
# One top-up by curl: posted, waited for, and the same again, which is not paid again.
set -eu
url=http://127.0.0.1:8080
key=YOUR_CLIENT_SECRET # an API key (topup key create)

for try in 1 2; do
  curl --silent --show-error --fail-with-body "$url/v1/topups?wait=30s" \
    --header "Authorization: Bearer $key" \
    --json '{
      "operatorId": 1100,
      "amount": "832",
      "customIdentifier": "airtime-top-up-curl",
      "recipientPhone": {"countryCode": "AE", "number": "0503971822"}
    }'
done
