#!/bin/sh
# Starts redis-server with redis.conf and the users of users.acl; arguments are
# redis-server's. A user's password is in the file REDIS_PASSWORDS/NAME, or in the
# variable REDIS_PASSWORD_NAME (capitals). Redis gets its SHA-256 alone.
#
#   REDIS_PASSWORDS=/run/secrets/redis REDIS_RUN=/run/redis sh deploy/redis-start.sh --dir /data
set -eu
umask 077
here=$(dirname "$0")
passwords=${REDIS_PASSWORDS:-/run/secrets/redis}
users=${REDIS_RUN:-/run/redis}/users.acl
mkdir -p "$(dirname "$users")"
unknown=' ' # what this version does not know it would refuse to start with
case $(redis-server --version) in *v=7.0.*) unknown=' +client|setinfo' ;; esac

sed -e '/^#/d' -e '/^$/d' "$here/users.acl" |
	awk '/^user /{if (line) print line; line = $0; next} {line = line " " $0} END {print line}' |
	sed "s/$unknown / /" | while read -r word name rules; do
		case $rules in *'<password>'*) ;; *)
			printf '%s %s %s\n' "$word" "$name" "$rules"
			continue
			;;
		esac
		variable=REDIS_PASSWORD_$(printf %s "$name" | tr a-z A-Z)
		eval "password=\${$variable:-}"
		if [ -z "$password" ] && [ -r "$passwords/$name" ]; then
			password=$(cat "$passwords/$name")
		fi
		if [ -z "$password" ]; then
			echo "redis-start: $name has no password in $passwords/$name or $variable and cannot log in" >&2
			continue
		fi
		hash=$(printf %s "$password" | sha256sum | cut -d' ' -f1)
		printf '%s %s %s\n' "$word" "$name" "$rules" | sed "s/<password>/#$hash/"
	done >"$users"

# Without this line everybody could do everything; with fewer rights in it Redis would
# forget what its file says: see there.
grep -q '^user default off .*allkeys .*+@all$' "$users" || { echo "redis-start: $here/users.acl cannot be read, or has not the default user that it needs" >&2; exit 1; }

# What redis-server inherits can be read from its process.
unset REDIS_PASSWORD_WORKER REDIS_PASSWORD_SERVE REDIS_PASSWORD_OPERATOR \
	REDIS_PASSWORD_EXPORTER REDIS_PASSWORD_SCALER REDIS_PASSWORD_ADMIN
exec redis-server "$here/redis.conf" --aclfile "$users" "$@"
