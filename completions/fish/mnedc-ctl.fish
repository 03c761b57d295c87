function __mnedc-ctl_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-ctl_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __mnedc-ctl_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __mnedc-ctl_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __mnedc-ctl_parse_tokens -S
    set -l unparsed_tokens (__mnedc-ctl_tokens -pc)
    switch $unparsed_tokens[1]
    case 'mnedc-ctl'
        __mnedc-ctl_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'status'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'explain'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'netcheck'
            __mnedc-ctl_parse_subcommand -r 1 'c/config=' 'timeout=' 'json' 'version' 'h/help'
        case 'metrics'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'format=' 'version' 'h/help'
        case 'report'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'reload'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'log-level'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'announce'
            __mnedc-ctl_parse_subcommand 0 'up=+' 'port=' 'protocol=' 'service-version=' 'degraded=+' 'down=+' 'withdraw=+' 'label=+' 'no-label=+' 'load=' 'no-load' 'reset' 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'key'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'rotate-key'
            __mnedc-ctl_parse_subcommand 0 'forget-old' 'yes' 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'backup'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'drain'
            __mnedc-ctl_parse_subcommand 0 'w/within=' 'restart' 'yes' 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'stop'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'invite'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'u/uses=' 'e/expires=' 'd/device-id=' 's/server=+' 'json' 'version' 'h/help'
        case 'invites'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'uninvite'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'pending'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'approve'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'deny'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'devices'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'revoke'
            __mnedc-ctl_parse_subcommand 1 'yes' 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'forget'
            __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'leases'
            __mnedc-ctl_parse_subcommand 0 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
        case 'lease'
            __mnedc-ctl_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'pin'
                __mnedc-ctl_parse_subcommand 2 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
            case 'free'
                __mnedc-ctl_parse_subcommand 1 'c/config=' 'socket=' 'of=' 'timeout=' 'json' 'version' 'h/help'
            end
        case 'help'
            __mnedc-ctl_parse_subcommand -r 1 'version'
        end
    end
end

function __mnedc-ctl_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __mnedc-ctl_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __mnedc-ctl_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __mnedc-ctl_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__mnedc-ctl_tokens -p)
    if test -z "$(__mnedc-ctl_tokens -t)"
        set -l index (count (__mnedc-ctl_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'mnedc-ctl' -f
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'status' -d 'Shows the state of a daemon.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'explain' -d 'Tests the path to a peer and names what fails.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'netcheck' -d 'Checks whether this host could join.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'metrics' -d 'Prints a daemon\'s metrics.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'report' -d 'Writes an archive for a bug report, without secrets.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'reload' -d 'Makes a daemon read its configuration file again.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'log-level' -d 'Shows or sets what a daemon logs.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'announce' -d 'Tells this device\'s peers what it offers.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'key' -d 'Shows the public key of a daemon and its fingerprint.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'rotate-key' -d 'Replaces a daemon\'s key by a new one.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'backup' -d 'Writes a copy of a relay\'s database.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'drain' -d 'Ends a relay once what is under way has arrived.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'stop' -d 'Stops a daemon.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'invite' -d 'Makes an invite, the line that lets a device join.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'invites' -d 'Lists the invites of the relay.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'uninvite' -d 'Revokes an invite.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'pending' -d 'Lists the devices that wait for approval.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'approve' -d 'Admits a device that waits for approval.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'deny' -d 'Refuses a device that waits for approval.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'devices' -d 'Lists the devices that the relay has admitted.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'revoke' -d 'Ends a device\'s session and refuses its key for good.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'forget' -d 'Ends a device\'s session and deletes its record.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'leases' -d 'Lists the virtual addresses of devices.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'lease' -d 'Pins the address of a device, or frees it.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion status -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl status" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl explain" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion explain -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion explain -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl explain" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl netcheck" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl netcheck" timeout' -l 'timeout' -d 'Wait this long for each server (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl netcheck" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl netcheck" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl netcheck" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion metrics -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" format' -l 'format' -d 'Print openmetrics or prometheus (default: openmetrics).' -rfka 'openmetrics prometheus'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl metrics" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl report" -eq 1' -F
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion report -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl report" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion reload -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl reload" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl log-level" -eq 1' -fka 'trace debug info notice warning error critical'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion log-level -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl log-level" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'up' -d 'Say that this service is up (no default); may be given several times.' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --up (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" port' -l 'port' -d 'With one --up: the service\'s port (no default).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" protocol' -l 'protocol' -d 'With one --up: the service\'s protocol, such as http (no default).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" service-version' -l 'service-version' -d 'With one --up: the service\'s version (no default).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'degraded' -d 'Say that this service works badly (no default); may be given several times.' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --degraded (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'down' -d 'Say that this service is down (no default); may be given several times.' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --down (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'withdraw' -d 'Stop announcing this service; the configuration\'s entry holds again (no default); may be given several times.' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --withdraw (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'label' -d 'Give the device this label (no default); may be given several times.' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce"' -l 'no-label' -d 'Stop announcing this label; the configuration\'s value holds again (no default); may be given several times.' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --no-label (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" load' -l 'load' -d 'Announce the load: 0 is idle, 1 is fully used (no default).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" no-load' -l 'no-load' -d 'Stop announcing a load.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" reset' -l 'reset' -d 'First withdraw all that was announced.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion announce -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl announce" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion key -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl key" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" forget-old' -l 'forget-old' -d 'For a stolen relay key: devices not connected now must be told the new key by hand.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" yes' -l 'yes' -d 'Do not ask first; without a terminal, nothing is asked in any case.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion rotate-key -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl rotate-key" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl backup" -eq 1' -F
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion backup -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl backup" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" w within' -l 'within' -s 'w' -d 'End after this time in any case (default: 10s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" restart' -l 'restart' -d 'Have the service manager start the relay again.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" yes' -l 'yes' -d 'Do not ask first; without a terminal, nothing is asked in any case.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion drain -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl drain" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion stop -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl stop" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion invite -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" u uses' -l 'uses' -s 'u' -d 'Admit this many devices (default: 1).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" e expires' -l 'expires' -s 'e' -d 'Expire after this time (default: 1d).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" d device-id' -l 'device-id' -s 'd' -d 'Admit only a device with this ID (default: any device).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite"' -l 'server' -s 's' -d 'Name this address of the relay (default: relay.public-address, or what the relay finds out); may be given several times.' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invite" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion invites -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl invites" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl uninvite" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion uninvite -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion uninvite -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl uninvite" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion pending -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl pending" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl approve" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion approve -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion approve -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl approve" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl deny" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion deny -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion deny -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl deny" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion devices -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl devices" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl revoke" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion revoke -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" yes' -l 'yes' -d 'Do not ask first; without a terminal, nothing is asked in any case.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion revoke -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl revoke" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl forget" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion forget -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion forget -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl forget" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion leases -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl leases" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl lease" -eq 1' -fa 'pin' -d 'Reserves a device\'s address, or another address, for that device.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl lease" -eq 1' -fa 'free' -d 'Frees the address of a device that is not connected.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl lease pin" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion lease pin -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion lease pin -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease pin" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_positional "mnedc-ctl lease free" -eq 1' -fka '(__mnedc-ctl_custom_completion ---completion lease free -- positional@0 (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" c config' -l 'config' -s 'c' -d 'Read settings from this file (default: /etc/mnedc/mnedc.yaml).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" socket' -l 'socket' -d 'Talk to the daemon at this socket (default: the one that runs here).' -rF
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" of' -l 'of' -d 'Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).' -rfka '(__mnedc-ctl_custom_completion ---completion lease free -- --of (count (__mnedc-ctl_tokens -pc)) (__mnedc-ctl_tokens -tC))'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" timeout' -l 'timeout' -d 'Wait this long for the answer (default: 5s).' -rfka ''
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" json' -l 'json' -d 'Print JSON.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" version' -l 'version' -d 'Show the version.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl lease free" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'mnedc-ctl' -n '__mnedc-ctl_should_offer_completions_for_flags_or_options "mnedc-ctl help" version' -l 'version' -d 'Show the version.'
