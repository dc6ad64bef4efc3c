# weft_log: one line for each connection, at its end.
use v5.30;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use JSON::PP ();
use Socket qw(SOCK_DGRAM);
use Test::More;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my @tickets;    # all that were sent: none may be found in a log

sub minted { my (%claims) = @_; push @tickets, $t->ticket(%claims); return $tickets[-1] }

my @FIELDS = qw(user client_id subprotocol code by duration in out bytes_in bytes_out uri request_uri remote agent host
    status iso msec local nobody);
my $plain = '$weft_user|$weft_client_id|${weft_subprotocol}|$weft_close_code|$weft_closed_by|$weft_duration'
    . '|$weft_messages_in|$weft_messages_out|$weft_bytes_in|$weft_bytes_out|$weft_request_uri|$request_uri|$remote_addr'
    . '|$http_user_agent|$host|$status|$time_iso8601|$msec|$time_local|$http_nobody';
my $http = <<"HTTP";
    weft_drain 1s;
    weft_reload drain;
    log_format access '\$weft_user|\$weft_client_id|\$weft_subprotocol|\$weft_close_code|\$weft_request_uri|\$request|\$http_authorization|\$http_sec_websocket_protocol';
    access_log who.log access;
    map \$http_x_log \$loggable { default 1; quiet 0; none ""; }
    weft_log_format plain '$plain';
    weft_log_format json escape=json '{"user":"\$weft_user","agent":"\$http_user_agent","code":\$weft_close_code,'
                                     '"by":"\$weft_closed_by","nobody":"\$http_nobody","duration":\$weft_duration}';
    weft_log_format raw escape=none '\$weft_user|\$http_user_agent|\$http_nobody|';
    weft_log_format escaped escape=default '\$weft_user|\$http_user_agent|\$http_nobody|';
    weft_log_format headers '\$weft_user|\$http_authorization|\$http_sec_websocket_protocol|\$request|\$args|\$arg_ticket|\$query_string';
    weft_log_format two '\$http_user_agent|\$http_user_agent|end';
    weft_log_format tls '\$ssl_protocol|\$weft_bytes_in|\$weft_bytes_out';
    weft_log plain.log plain;
    weft_ticket key=$key;
    weft_rate off;
HTTP
my $server = <<"SERVER";
        location /default { weft_websocket; weft_log default.log; }
        location /json { weft_websocket; weft_log json.log json; }
        location /raw { weft_websocket; weft_log raw.log raw; weft_log escaped.log escaped; weft_log raw.json json; }
        location /headers { weft_websocket; weft_log headers.log headers; }
        location /off { weft_websocket; weft_log off; }
        location /two { weft_websocket; weft_log two.log two; weft_log two.json json; }
        location /if { weft_websocket;
            weft_log if.log plain if=\$loggable;
            weft_log if.arg plain if=\$arg_log;
            weft_log if.in plain if=\$weft_messages_in;
            weft_log if.both plain if=\${weft_user}\$arg_log;
            weft_log if.default if=\$loggable;
        }
        location /slow { weft_websocket; weft_send_queue 64k; }
        location /rate { weft_websocket; weft_rate 1r/m; }
        location /silent { weft_websocket; weft_heartbeat 100ms timeout=100ms; }
        location /echo { weft_echo; }
        location /unanswered { weft_websocket; limit_rate 1; }
        location /full { weft_websocket; weft_log /dev/full; }
SERVER
my $node   = $t->node('a', http => $http, server => $server, location => '');
my $nginx  = $node->nginx;
my $folder = $nginx->folder;

sub lines { my ($name) = @_; return split /\n/, slurp("$folder/$name") }

# Waits until a log has this many lines of a user, and returns them.
sub lines_of {
    my ($name, $user, $count) = @_;
    my @lines;
    wait_for { @lines = grep { /^\Q$user\E[| ]/ } lines($name); @lines >= ($count // 1) }
        or die "$name has no line of $user:\n" . slurp("$folder/$name");
    return wantarray ? @lines : $lines[0];
}

# The line of a user in plain.log, by its fields.
sub line_of {
    my ($user, $name) = @_;
    my %line;
    @line{@FIELDS} = split /\|/, scalar(lines_of($name // 'plain.log', $user)), -1;
    return \%line;
}

sub connected {
    my ($user, $path, %with) = @_;
    return Weft::Client->join(port => $node->port, path => $path // '/ws', ticket => minted(sub => $user), %with);
}

# The client closes, and reads the answer. (Client's leave answers that once more, which nobody would read.)
sub leave {
    my ($client) = @_;
    $client->close(1000);
    return $client->read_close(no_answer => 1);
}

# ---- what a line says ------------------------------------------------------------------------------------------------

check 'the counts of a line are what the client sent and received' => sub {
    my $client = connected('counted', '/ws?room=7', headers => [ 'User-Agent' => 'counter/1.0' ], protocols => 'weft.v1.json');
    my ($sent, $received) = (0, 1);    # messages; the greeting came already
    $client->subscribe('chat:counted');
    for my $i (1 .. 30) {
        $client->must('publish', channel => 'chat:counted', data => [ $i, 'x' x (20 * $i) ]);
        $client->event;
        $sent++;
        $received += 2;
    }
    $client->must('ping');
    $client->send_frame(ping => 'not a message');
    $client->next_frame->{opcode} == 10 or die "no pong\n";
    leave($client);
    my $line  = line_of('counted');
    is($line->{in},  $sent + 2,     'messages in');
    is($line->{out}, $received + 2, 'messages out');
    is($line->{bytes_in},  $client->sent,     'bytes in, with pings and the close frame');
    is($line->{bytes_out}, $client->received, 'bytes out');
    is($line->{client_id},   $client->greeting->{client_id}, 'the client id that the client was told');
    is($line->{subprotocol}, 'weft.v1.json',                 'the subprotocol');
    is($line->{code},        1000,                           'the close code');
    is($line->{by},          'client',                       'and who said it');
    is($line->{uri},         '/ws?room=7',                   'the URI');
    is($line->{request_uri}, '/ws?room=7',                   'which $request_uri says as well');
    is($line->{remote},      '127.0.0.1',                    'the address');
    is($line->{agent},       'counter/1.0',                  'the agent');
    is($line->{host},        'localhost',                    'the host');
    is($line->{status},      101,                            'the status');
    is($line->{nobody},      '-',                            'a header that is not there');
    like($line->{duration}, qr/^\d+\.\d{3}$/,                                      'seconds and milliseconds');
    like($line->{msec},     qr/^\d{10}\.\d{3}$/,                                   'the time with milliseconds');
    like($line->{iso},      qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/,     'the time of ISO 8601');
    like($line->{local},    qr{^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$}, 'the local time');
};

check 'the duration is that of the connection' => sub {
    my $client = connected('lasting');
    select undef, undef, undef, 1.2;
    leave($client);
    my $line = line_of('lasting');
    cmp_ok($line->{duration}, '>=', 1.0, 'not shorter');
    cmp_ok($line->{duration}, '<',  60,  'nor that of something else');
};

check 'an echo counts as well, and has no user' => sub {
    my $client = Weft::Client->open(port => $node->port, path => '/echo?who=echoed');
    $client->send_frame(text => 'a' x 500) for 1 .. 3;
    $client->next_frame for 1 .. 3;
    leave($client);
    my $line;
    wait_for { ($line) = grep { /\|\/echo\?who=echoed\|/ } lines('plain.log') } or die "no line\n";
    my %line;
    @line{@FIELDS} = split /\|/, $line, -1;
    is($line{user}, '-', 'no user');
    is_deeply([ @line{qw(in out bytes_in bytes_out)} ], [ 3, 3, $client->sent, $client->received ], 'counts');
    is($line{subprotocol}, '-', 'nor a subprotocol');
};

check 'without a format a line has the default one' => sub {
    my $client = connected('default', '/default?ticket=secret&a=b', headers => [ 'User-Agent' => 'some "agent"' ]);
    $client->must('ping');
    leave($client);
    my $line;
    wait_for { ($line) = lines('default.log') } or die "no line\n";
    my ($in, $out) = ($client->sent, $client->received);
    like($line, qr{^127\.0\.0\.1 - default \[\d\d/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] "/default\?a=b" 1000 \d+\.\d{3} 1 2 $in $out "some \\x22agent\\x22"$},
        'as documented');
};

# ---- how it ended ----------------------------------------------------------------------------------------------------

check 'the code is the one that the client closed with' => sub {
    for my $code (1001, 3000, 4321, 4999) {
        my $client = connected("code$code");
        $client->close($code, 'a reason');
        $client->read_close;
        my $line = line_of("code$code");
        is("$line->{code} $line->{by}", "$code client", "code $code");
    }
    my $client = connected('nocode');
    $client->close;
    $client->read_close;
    is(line_of('nocode')->{code}, 1000, '1000 when it said none');
};

check 'a client that is gone without a word has 1006' => sub {
    for my $how ('reset', 'fin') {
        my $client = connected($how);
        $client->must('ping');
        $client->hang_up(reset => $how eq 'reset');
        my $line = line_of($how);
        is("$line->{code} $line->{by} $line->{in}", '1006 - 1', $how);
    }
};

check 'a client that violates the protocol has the code of that' => sub {
    my $client = connected('violator');
    $client->raw_send(Weft::Client::frame_bytes(text => 'x', rsv => 7));
    $client->read_close;
    my $line = line_of('violator');
    is("$line->{code} $line->{by}", '1002 server', 'code 1002');
};

check 'a client that is over its rate has 4004' => sub {
    my $client = connected('fast', '/rate');
    $client->raw_send(Weft::Client::frame_bytes(text => '{"type":"ping"}') x 200);
    is($client->read_close->{code}, 4004, 'it is closed');
    my $line = line_of('fast');
    is("$line->{code} $line->{by}", '4004 server', 'code 4004');
};

check 'a silent client has 4019' => sub {
    my $client = connected('silent', '/silent');
    $client->be_silent;
    is($client->read_close->{code}, 4019, 'it is closed');
    my $line = line_of('silent');
    is("$line->{code} $line->{by}", '4019 server', 'code 4019');
};

check 'a slow reader has 4014' => sub {
    my $slow = connected('slow', '/slow', receive_buffer => 4096);
    $slow->subscribe('chat:slow');
    my $publisher = connected('slow-publisher');
    my $filler    = 's' x 30_000;
    my $ended     = wait_for {
        $publisher->must('publish', channel => 'chat:slow', data => $filler) for 1 .. 20;
        grep { /^slow\|/ } lines('plain.log');
    };
    ok($ended, 'it is closed');
    my $line = line_of('slow');
    is("$line->{code} $line->{by}", '4014 server', 'code 4014');
    cmp_ok($line->{bytes_out}, '>', 4096, 'some of it left');
    cmp_ok($line->{bytes_out}, '<=', $line->{out} * 31_000, 'and no more than was queued');
};

check 'refused credentials have a line with the code' => sub {
    my $bad = minted(exp => time - 1000);
    for my $try ([ 4001, '' ], [ 4002, "?ticket=$bad" ], [ 4002, '?a=b', ticket => $bad ]) {
        my ($code, $query, @more) = @$try;
        my $mark   = 'refused' . int rand 1e9;
        my $client = Weft::Client->open(port => $node->port, path => "/ws$query", headers => [ 'User-Agent' => $mark ], @more);
        is($client->read_close->{code}, $code, "closed with $code");
        my $line;
        wait_for { ($line) = grep { /\|$mark\|/ } lines('plain.log') } or die "no line\n";
        my %line;
        @line{@FIELDS} = split /\|/, $line, -1;
        is("$line{code} $line{by} $line{user} $line{client_id}", "$code server - -", 'in the log too');
        is("$line{in} $line{out} $line{bytes_in} $line{bytes_out}", '0 1 ' . $client->sent . ' ' . $client->received, 'with counts');
        cmp_ok($line{duration}, '<', 60, 'and a duration');
    }
};

check 'a connection whose answer could not be sent has a line, as its request has one in the access log' => sub {
    # The rate lets one byte of the 101 go, and the rest would have to wait.
    my $client = eval { connected('unanswered', '/unanswered') };
    is($client, undef, 'it is given up');
    my $line = line_of('unanswered');
    is("$line->{code} $line->{by} $line->{in} $line->{out} $line->{bytes_in} $line->{bytes_out}", '1006 - 0 0 0 0', 'with 1006 and nothing counted');
    my (undef, $id) = split /\|/, scalar lines_of('who.log', 'unanswered');
    is($line->{client_id}, $id, 'both name the same connection');
};

check 'a request that is no upgrade has no line' => sub {
    my $before = lines('plain.log');
    is($nginx->exchange("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")->{status}, 400, 'it is refused');
    leave(connected('after'));
    line_of('after');
    is(scalar(grep { !/^after\|/ } (lines('plain.log'))[ $before .. $before ]), 0, 'the next line is of the next connection');
};

# ---- escaping --------------------------------------------------------------------------------------------------------

my $odd       = "J\x{fc}rgen \"the \\ great\" \x{2603}";
my $odd_bytes = do { my $bytes = $odd; utf8::encode($bytes); $bytes };
my $agent     = "quoted \"agent\" \\ \t\x01\x7f " . $odd_bytes;

check 'users and headers are escaped as access_log does it' => sub {
    leave(connected($odd, '/raw', headers => [ 'User-Agent' => $agent ]));
    my ($raw, $escaped, $json);
    wait_for { ($raw) = lines('raw.log'); ($escaped) = lines('escaped.log'); ($json) = lines('raw.json'); $json } or die "no line\n";
    is($raw, "$odd_bytes|$agent||", 'not at all with escape=none');
    my $hex = sub { $_[0] =~ s/([\x00-\x1f"\\\x7f-\xff])/sprintf '\\x%02X', ord $1/ger };
    is($escaped, $hex->($odd_bytes) . '|' . $hex->($agent) . '|-|', 'in hexadecimal by default');
    my $read = eval { JSON::PP->new->utf8->decode($json) } // {};
    my $agent_text = $agent;
    utf8::decode($agent_text);
    is($read->{user},  $odd,        'as JSON with escape=json: the user');
    is($read->{agent}, $agent_text, 'and the agent');
    is($read->{nobody}, '',         'and nothing for what is not there');
    is($read->{code},  1000,        'and numbers as they are');
};

check 'a line break can not make a line of its own' => sub {
    my $before = lines('escaped.log');
    leave(connected('breaker', '/raw', headers => [ 'User-Agent' => "a\x0bb\x0cc" ]));
    is(lines_of('escaped.log', 'breaker'), 'breaker|a\x0Bb\x0Cc|-|', 'other breaks than nginx refuses in a header');
    is(scalar(lines('escaped.log')), $before + 1, 'one line');
};

check 'what a connection keeps is bounded' => sub {
    leave(connected('long', '/two', headers => [ 'User-Agent' => 'a' . "\xc3\xa9" x 3000 ]));
    my ($line, $json);
    wait_for { ($line) = lines('two.log'); ($json) = lines('two.json'); $json } or die "no line\n";
    my ($first, $second, $end) = split /\|/, $line, -1;
    is(length $first, 4093, 'a value of 4 KiB, in front of an escape that would not fit');
    like($first, qr/^a(?:\\xC3\\xA9)*(?:\\xC3)?$/, 'and nothing is cut in two');
    is(length $second, 4093, 'and another');
    is($end, 'end', 'the rest of the line is there');
    my $read = eval { JSON::PP->new->utf8->decode($json) };
    ok($read, 'JSON is JSON all the same') or return;
    cmp_ok(length $read->{agent}, '<', 10, 'with what room was left');

    leave(connected('long', '/json', headers => [ 'User-Agent' => 'a' . "\xc3\xa9" x 3000 ]));
    wait_for { ($json) = lines('json.log') } or die "no line\n";
    is(JSON::PP->new->utf8->decode($json)->{agent}, 'a' . "\x{e9}" x 2047, 'no character is cut in two');
};

# ---- which connections -----------------------------------------------------------------------------------------------

check 'if= decides, by what the request says and by what the connection did' => sub {
    my $in = sub { my ($name, $user) = @_; return scalar grep { /^\Q$user\E\|/ || / - \Q$user\E / } lines($name) };
    my $one = connected('if-one', '/if?log=1');
    $one->must('ping');
    leave($one);
    line_of('if-one', $_) for qw(if.log if.arg if.in if.both);
    wait_for { $in->('if.default', 'if-one') } or fail('a condition without a format');

    my $two = connected('if-two', '/if?log=0', headers => [ 'X-Log' => 'quiet' ]);
    leave($two);
    line_of('if-two', 'if.both');    # "if-two0" is neither empty nor 0
    is($in->($_, 'if-two'), 0, "no line in $_") for qw(if.log if.arg if.in if.default);

    my $three = connected('if-three', '/if', headers => [ 'X-Log' => 'none' ]);
    $three->must('ping');
    leave($three);
    line_of('if-three', $_) for qw(if.in if.both);
    is($in->($_, 'if-three'), 0, "no line in $_") for qw(if.log if.arg if.default);
};

check 'weft_log off ends what is inherited' => sub {
    leave(connected('unlogged', '/off'));
    leave(connected('logged'));
    line_of('logged');
    like(slurp("$folder/who.log"), qr/^unlogged\|/m, 'it is in the access log');
    is_deeply([ grep { !/who\.log$/ && slurp($_) =~ /unlogged/ } glob "$folder/*" ], [], 'and nowhere else');
};

check 'a location that logs does not log where the blocks around it do' => sub {
    is(scalar(grep { /^(?:default|\Q$odd_bytes\E|long)\|/ } lines('plain.log')), 0, 'no line');
};

# ---- elsewhere -------------------------------------------------------------------------------------------------------

check 'the access log knows who connected, and not yet how it ended' => sub {
    my $client = connected('accessing', '/ws?x=1', protocols => 'weft.v1.json');
    my $line   = lines_of('who.log', 'accessing');
    my ($user, $id, $subprotocol, $code, $uri) = split /\|/, $line;
    is($id,          $client->greeting->{client_id}, 'the client id');
    is($subprotocol, 'weft.v1.json',                 'the subprotocol');
    is($code,        '-',                            'no code');
    is($uri,         '/ws?x=1',                      'the URI');
    $nginx->request('GET', '/status?ticket=abc');
    my $other;
    wait_for { ($other) = grep { m{GET /status} } lines('who.log') } or die "no line\n";
    like($other, qr{^-\|-\|-\|-\|/status\|}, 'another request has none of it');
};

check 'no ticket comes into a log, however it is sent' => sub {
    my $ticket = minted(sub => 'hidden');
    for my $way (
        [ "/headers?ticket=$ticket" ], [ "/headers?a=1&TICKET=$ticket&b=2" ],
        [ '/headers', headers => [ Authorization => "bearer $ticket" ] ],
        [ '/headers', protocols => "weft.v1.json, bearer.$ticket" ],
        [ '/headers', headers => [ Authorization => "Bearer $ticket" ], protocols => "bearer.$ticket, weft.v1.json" ],
        )
    {
        my ($path, @with) = @$way;
        Weft::Client->join(port => $node->port, path => $path, @with)->leave;
    }
    my @lines = lines_of('headers.log', 'hidden', 5);
    is(scalar(grep { /\*{40}/ } @lines), 5, 'they are masked');
    is(scalar(grep { /b=2/ } @lines), 1, 'and what is behind them is not');
};

check 'over TLS the bytes inside count' => sub {
    my $cert = $t->prefix . '/cert.pem';
    my $pkey = $t->prefix . '/cert.key';
    plan skip_all => 'no openssl to make a certificate with'
        if system "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        . " -addext subjectAltName=DNS:localhost -keyout '$pkey' -out '$cert' 2>/dev/null";
    my $port  = $t->port;
    my $other = $t->nginx('tls', http => $http, listen => ["127.0.0.1:$port ssl"], location => 'weft_log tls.log tls;',
        server => "        ssl_certificate $cert;\n        ssl_certificate_key $pkey;\n");
    my $client = Weft::Client->join(port => $port, tls => 1, ca => $cert, ticket => minted());
    $client->must('ping') for 1 .. 5;
    leave($client);
    my $log = $other->folder . '/tls.log';
    ok(wait_for { -s $log }, 'a line comes');
    like(slurp($log), qr/^TLSv1\.[23]\|@{[ $client->sent ]}\|@{[ $client->received ]}\n\z/, 'with the counts of the client');
};

# ---- where lines go --------------------------------------------------------------------------------------------------

check 'a log that was moved away is opened again on USR1' => sub {
    leave(connected('before'));
    line_of('before');
    rename "$folder/plain.log", "$folder/plain.old" or die "rename: $!\n";
    leave(connected('moved'));
    lines_of('plain.old', 'moved');
    $nginx->signal('USR1');
    ok(wait_for { -e "$folder/plain.log" }, 'a new file');
    ok(wait_for { leave(connected('reopened')); grep { /^reopened\|/ } lines('plain.log') }, 'gets the lines');
    unlike(slurp("$folder/plain.log"), qr/^(?:before|moved)\|/m, 'and only the new ones');
};

check 'an old worker that drains writes its lines, to the file that is opened again too' => sub {
    my @before = $nginx->reload(http => $http =~ s/weft_drain 1s/weft_drain 300s/r);
    $node->wait_linked;
    wait_for { !grep { -d "/proc/$_" } @before } or die "the workers before don't end\n";
    my ($one, $two) = map { connected($_) } 'old-one', 'old-two';
    my @old = $nginx->reload;
    $node->wait_linked;
    leave($one);
    is(line_of('old-one')->{code}, 1000, 'the line of a client that leaves');
    rename "$folder/plain.log", "$folder/plain.older" or die "rename: $!\n";
    $nginx->signal('USR1');
    ok(wait_for { -e "$folder/plain.log" }, 'the log is opened again');
    # The old worker may take the signal a moment later than the master did.
    ok(wait_for { my %open = map { (readlink // '') => 1 } glob "/proc/$old[0]/fd/*"; $open{"$folder/plain.log"} },
        'by the old worker as well');
    leave($two);
    is(line_of('old-two')->{code}, 1000, 'and gets the next line');
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'then the old worker ends');
};

check 'reload: clients that are sent away have 1012' => sub {
    my @clients = map { connected("sent-away-$_") } 1 .. 5;
    my @old     = $nginx->reload;
    $_->read_close for @clients;
    is(join(' ', map { my $line = line_of("sent-away-$_"); "$line->{code} $line->{by}" } 1 .. 5), join(' ', ('1012 server') x 5), 'each');
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers end');
};

check 'a full disk is told once, and harms nobody' => sub {
    $t->expect_in_log(qr{writing to "/dev/full" failed});
    leave(connected('full', '/full')) for 1 .. 4;
    ok(wait_for { $nginx->error_log =~ m{writing to "/dev/full" failed \(28: } }, 'it is told');
    leave(connected('fuller', '/full'));
    leave(connected('unharmed'));
    line_of('unharmed');
    is(scalar(() = $nginx->error_log =~ m{writing to "/dev/full" failed}g), 1, 'once');
};

check 'lines go to syslog' => sub {
    my $syslog = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => 0, Type => SOCK_DGRAM, Proto => 'udp') or die "$!\n";
    my $port   = $syslog->sockport;
    my $other  = $t->nginx('syslog', http => $http,
        location => "weft_log syslog:server=127.0.0.1:$port,tag=weft,severity=notice escaped;");
    Weft::Client->join(port => $other->port, ticket => minted(sub => 'sys'), headers => [ 'User-Agent' => 'log"ger' ])->leave;
    ok(IO::Select->new($syslog)->can_read($Weft::Client::TIMEOUT), 'a packet comes') or return;
    $syslog->recv(my $packet, 65536);
    like($packet, qr/^<189>[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ weft: sys\|log\\x22ger\|-\|\z/, 'of the usual form');
};

check 'a syslog that is not there is told and harms nobody' => sub {
    my $port  = $t->port;
    my $other = $t->nginx('nosyslog', http => $http, location => "weft_log syslog:server=127.0.0.1:$port escaped;");
    for (1 .. 3) { Weft::Client->join(port => $other->port, ticket => minted())->leave }
    is(Weft::Client->join(port => $other->port, ticket => minted())->call('ping')->{type}, 'pong', 'clients are served');
    cmp_ok(scalar(() = $other->error_log =~ /could not be sent to syslog/g), '<=', 1, 'it is told once at most');
};

check 'worker_shutdown_timeout: clients that it cuts off have 1012 too' => sub {
    my $other = $t->nginx('cut', main => "worker_shutdown_timeout 1s;\n", location => '',
        http => $http =~ s/weft_drain 1s/weft_drain 300s/r);
    my $client = Weft::Client->join(port => $other->port, ticket => minted(sub => 'cut'));
    my @old    = $other->reload;
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old worker ends');
    like(slurp($other->folder . '/plain.log'), qr/^cut\|[^|]+\|-\|1012\|server\|/m, 'the line is there');
};

for my $how ([ quit => 'QUIT', qr/1012\|server/ ], [ stop => 'TERM', qr/1006\|-/ ]) {
    my ($what, $signal, $end) = @$how;
    check "nginx -s $what: every connection has its line" => sub {
        my $other   = $t->nginx($what, http => $http, location => '');
        my @clients = map { Weft::Client->join(port => $other->port, ticket => minted(sub => "$what$_")) } 1 .. 10;
        $_->must('ping') for @clients;
        my $gone = Weft::Client->join(port => $other->port, ticket => minted(sub => 'gone'));
        leave($gone);
        $other->signal($signal);
        $_->read_close for @clients;
        is($other->process->wait_end, 0, 'it ends');
        my $log = slurp($other->folder . '/plain.log');
        is(scalar(() = $log =~ /^$what\d+\|[^|]+\|-\|$end\|\d+\.\d{3}\|1\|/mg), 10, 'ten lines') or diag($log);
        is(scalar(() = $log =~ /\n/g), 11, 'and the one that had left');
    };
}

# ---- what nginx -t says ----------------------------------------------------------------------------------------------

my $try = $t->nginx('try', stopped => 1);
my @wrong = (
    [ 'an unknown format',         location => 'weft_log x.log nosuch;', qr{unknown format "nosuch" in "weft_log", expected .*"weft_log_format"} ],
    [ 'a format defined below',    http     => "weft_log x.log later; weft_log_format later x;\n", qr{unknown format "later"} ],
    [ 'combined, which is not ours', location => 'weft_log x.log combined;', qr{unknown format "combined"} ],
    [ 'an unknown variable',       http     => "weft_log_format x '\$nosuch_variable';\n", qr{unknown "nosuch_variable" variable}, 1 ],
    [ 'an unknown variable of ours', http   => "weft_log_format x '\$weft_usr';\n", qr{unknown "weft_usr" variable}, 1 ],
    [ 'an unknown variable in if=', location => 'weft_log x.log if=$nosuch_variable;', qr{unknown "nosuch_variable" variable}, 1 ],
    [ 'a lonely dollar',           http     => "weft_log_format x 'a \$ b';\n", qr{invalid variable in "a \$ b" of "weft_log_format", expected \$name} ],
    [ 'an open brace',             http     => "weft_log_format x '\${host';\n", qr{invalid variable in ".*" of "weft_log_format"} ],
    [ 'an empty brace',            http     => "weft_log_format x '\${}';\n",    qr{invalid variable} ],
    [ 'a lonely dollar in if=',    location => 'weft_log x.log if=$;',           qr{invalid variable in "\$" of "weft_log"} ],
    [ 'an unknown escaping',       http     => "weft_log_format x escape=xml y;\n", qr{unknown escaping "escape=xml" in "weft_log_format", expected .*json} ],
    [ 'an empty escaping',         http     => "weft_log_format x escape= y;\n", qr{unknown escaping "escape="} ],
    [ 'a format twice',            http     => "weft_log_format x a; weft_log_format x b;\n", qr{"x" of "weft_log_format" is there already} ],
    [ 'the default format again',  http     => "weft_log_format weft a;\n",      qr{"weft" of "weft_log_format" is there already} ],
    [ 'a format without text',     http     => "weft_log_format x;\n",           qr{number of arguments} ],
    [ 'a format in a server',      server   => "weft_log_format x y;\n",         qr{not allowed here} ],
    [ 'a log without path',        location => 'weft_log;',                      qr{number of arguments} ],
    [ 'an empty path',             location => 'weft_log "";',                   qr{invalid path "" in "weft_log", expected} ],
    [ 'a path with variables',     location => 'weft_log $host.log;',            qr{invalid path "\$host\.log" in "weft_log", expected .*without variables} ],
    [ 'a path that can not be',    location => 'weft_log /nonexistent/x.log;',   qr{/nonexistent/x\.log.*failed}, 1 ],
    [ 'an unknown parameter',      location => 'weft_log x.log weft buffer=32k;', qr{invalid parameter "buffer=32k" in "weft_log", expected if=} ],
    [ 'a condition twice',         location => 'weft_log x.log if=1 if=2;',      qr{"if=" is duplicate in "weft_log"} ],
    [ 'off with a format',         location => 'weft_log off weft;',             qr{"weft_log off" takes no further parameter} ],
    [ 'off beside a log',          location => 'weft_log x.log; weft_log off;',  qr{"weft_log off" and another} ],
    [ 'a log beside off',          location => 'weft_log off; weft_log x.log;',  qr{"weft_log off" and another} ],
    [ 'off twice',                 location => 'weft_log off; weft_log off;',    qr{"weft_log off" and another} ],
    [ 'seventeen logs in one block', location => join(' ', map { "weft_log $_.log;" } 1 .. 17), qr{too many "weft_log" in one block, expected at most 16} ],
    [ 'a syslog without server',   location => 'weft_log syslog:tag=x;',         qr{no syslog server specified} ],
    [ 'a syslog with a wrong word', location => 'weft_log syslog:sever=x;',      qr{unknown syslog parameter} ],
);
for (@wrong) {
    my ($statement, $level, $text, $says, $nowhere) = @$_;
    $text = "weft_ticket key=$key; $text" if $level eq 'location';
    my ($status, $output) = $try->test_configuration($try->configuration($level => $text));
    isnt($status, 0, "$statement: refused");
    like($output, $says, "$statement: named");
    like($output, qr/try\.conf:\d+/, "$statement: with the line") unless $nowhere;
}
my @good = (
    [ 'the default format by its name',  location => 'weft_log x.log weft;' ],
    [ 'the default format in two places', http    => "weft_log x.log;\n", location => 'weft_log y.log weft if=$weft_messages_in;' ],
    [ 'sixteen logs in one block',       location => join(' ', map { "weft_log $_.log;" } 1 .. 16) ],
    [ 'our variables elsewhere',         http     => "log_format x '\$weft_user \$weft_client_id \$weft_subprotocol \$weft_request_uri"
            . " \$weft_close_code \$weft_closed_by \$weft_duration \$weft_messages_in \$weft_messages_out \$weft_bytes_in \$weft_bytes_out';\n" ],
    [ 'a format of several texts',       http     => "weft_log_format x escape=none '\$host' \"\${weft_user}x\" y;\n" ],
    [ 'a log that nobody writes to',     http     => "weft_log x.log;\n" ],
);
for (@good) {
    my ($statement, %text) = @$_;
    $text{location} = "weft_ticket key=$key; " . ($text{location} // '');
    my ($status, $output) = $try->test_configuration($try->configuration(%text));
    is($status, 0, "$statement: accepted") or diag($output);
}

# ---- the end ---------------------------------------------------------------------------------------------------------

$t->finish;

check 'no ticket is found in any log' => sub {
    my $logs   = 0;
    my @leaked;
    for my $file (grep { -f && !/\.conf$/ } glob $t->prefix . '/nginx-*/*') {
        my $text = slurp($file);
        $logs++ if length $text;
        for my $ticket (@tickets) {
            my ($signature) = $ticket =~ /([^.]*)$/;
            push @leaked, "$file: " . substr $ticket, 0, 20 if index($text, $ticket) >= 0 || index($text, $signature) >= 0;
        }
    }
    cmp_ok($logs, '>', 15, "$logs logs were looked at");
    cmp_ok(scalar @tickets, '>', 40, scalar(@tickets) . ' tickets');
    is_deeply(\@leaked, [], 'none leaked');
};

done_testing;
