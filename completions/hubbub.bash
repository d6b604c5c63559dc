# bash completion for hubbub(1).  It needs nothing but bash, with or without the package bash-completion.

_hubbub() {
    local word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    # Only the server knows names, rooms and ids.  Bash takes words apart at ":" and "=": a port and an id are behind.
    case ${COMP_WORDS[COMP_CWORD - 1]}$word in
    -u* | -r* | --since* | :* | =* | *:) return ;;
    esac
    case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "-u -r --tail --json --since --no-bell --help --version" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -A hostname -- "$word") ;;
    esac
} && complete -F _hubbub hubbub
