# Bash completion for nmoe-gates. The program completes the words, so that gates and bundles of the current repository are offered.
_nmoe_gates() {
    # Bash splits words at `:` and `=`, but a gate id contains `:`. Join the words again.
    local words=() word index joined=
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ -z $word && ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]]; then
            joined=
        fi
        if [[ ${#words[@]} -gt 0 && ( -n $joined || $word =~ ^[:=]+$ ) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        if [[ $word =~ ^[:=]+$ ]]; then joined=yes; else joined=; fi
    done

    # Bash replaces only what follows the last of its separators.
    local current=${words[${#words[@]} - 1]} separators= kept=
    if [[ $COMP_WORDBREAKS == *:* ]]; then separators+=:; fi
    if [[ $COMP_WORDBREAKS == *=* ]]; then separators+==; fi
    if [[ -n $separators ]]; then kept=${current%"${current##*[$separators]}"}; fi

    mapfile -t COMPREPLY < <(nmoe-gates completions bash -- "${words[@]}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    # No space after a folder or after `--option=`.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=:] ]]; then compopt -o nospace; fi
}
complete -o bashdefault -F _nmoe_gates nmoe-gates
