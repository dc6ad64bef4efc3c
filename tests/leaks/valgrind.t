# nginx's master and workers and weftd under valgrind, through connects and disconnects of every kind, killed workers,
# reloads, a killed weftd and a quit: no process may lose memory, or touch what it should not.
#
# Takes a minute or two: not part of make test, but of make check (scripts/check.sh leaks). tests/valgrind.supp says what is not
# ours, and why.
# Environment besides that of Weft::Test: WEFT_LEAK_ROUND (connections of each kind, 200), WEFT_VALGRIND (more options
# of valgrind; --track-origins=yes says where uninitialised bytes come from).
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";

use Compress::Raw::Zlib;
use HTTP::Tiny;
use Test::More;
use Weft::Client;
use Weft::Test;

plan skip_all => 'no valgrind' unless grep { -x "$_/valgrind" } split /:/, $ENV{PATH};
$Weft::Client::TIMEOUT = 180 unless $ENV{WEFT_TIMEOUT};    # everything is slow

my $round = $ENV{WEFT_LEAK_ROUND} // 200;
my $t     = Weft::Test->new;
my $key   = $t->key_file;
my $slow  = $t->port;
my $tls   = $t->port;
my $page  = $t->port;
my $cert  = $t->prefix . '/cert.pem';
my $pkey  = $t->prefix . '/cert.key';
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        . " -addext subjectAltName=DNS:localhost -keyout '$pkey' -out '$cert' 2>/dev/null") == 0
    or die "openssl makes no certificate\n";
my $under = [
    'valgrind',
    '--leak-check=full',
    '--show-leak-kinds=definite,indirect',
    '--errors-for-leak-kinds=definite,indirect',
    '--num-callers=30',
    '--keep-debuginfo=yes',    # nginx unloads its modules before it ends
    '--child-silent-after-fork=no',
    '--trace-children=yes',
    '--gen-suppressions=all',    # each error is told as a block that tests/valgrind.supp could have
    "--suppressions=$FindBin::Bin/../valgrind.supp",
    "--log-file=" . $t->prefix . '/reports/valgrind.%p',
    split(' ', $ENV{WEFT_VALGRIND} // ''),
];
my $http = "    weft_drain 1s;\n    weft_log_format line '\$weft_user \$weft_close_code \$weft_bytes_in';\n    weft_log weft.log line;\n"
    . "    weft_channel seen:* { publish on; presence on debounce=1s; }\n";
my $node = $t->node(
    'a',
    under   => $under,
    workers => 2,
    # The kernel holds little for a client of this port: a slow reader is found out after kilobytes.
    listen => [ "127.0.0.1:$slow sndbuf=4k", "127.0.0.1:$tls ssl" ],
    http   => $http,
    server => <<"SERVER",
        ssl_certificate $cert;
        ssl_certificate_key $pkey;
        location = /quick { weft_websocket; weft_ticket key=$key; weft_heartbeat 100ms timeout=100ms; }
        location = /small { weft_websocket; weft_ticket key=$key; weft_rate off; weft_send_queue 16k; }
        location = /own   { weft_websocket; weft_ticket key=$key; weft_origin https://good.example; }
        location = /echo  { weft_echo; weft_message_size 1m; }
        location = /few   { weft_websocket; weft_ticket key=$key; weft_connections per_user=2 per_ip=1000; }
        location = /flat  { weft_echo; weft_compression on min_size=64; }
        location = /kept  { weft_echo; weft_compression on min_size=64 takeover=both; }
        location = /news  { weft_websocket; weft_ticket key=$key; weft_compression on min_size=64; }
SERVER
    location   => "weft_ticket key=$key; weft_rate off;",
    weftd_yaml => "http: 127.0.0.1:$page\n",
);
my ($nginx, $weftd) = ($node->nginx, $node->weftd);

# Runs the block for each of a round's connections, a few dozen at a time.
sub each_of {
    my ($code) = @_;
    my $left = $round;
    while ($left > 0) {
        my $now = $left < 40 ? $left : 40;
        $code->($now);
        $left -= $now;
    }
    return;
}

# One of weftd's metrics.
sub metric {
    my ($name) = @_;
    my ($value) = HTTP::Tiny->new->get("http://127.0.0.1:$page/metrics")->{content} =~ /^\Q$name\E (\S+)$/m;
    return $value;
}

# Nothing of the clients is left in the workers.
sub gone {
    ok(wait_for { eval { $node->status->{connections}{active} == 0 } }, 'all of them are gone from the workers');
    return;
}

check 'clients that subscribe, publish, unsubscribe and close in order' => sub {
    each_of(
        sub {
            my @clients = map { $node->client(sub => "user$_") } 1 .. $_[0];
            $_->subscribe('chat:life') for @clients;
            $clients[0]->must('publish', channel => 'chat:life', data => { n => [ 1, 'x' x 300 ] });
            $_->event for @clients;
            $_->must('signal', channel => 'chat:life', name => 'typing') for @clients[ 0 .. 2 ];
            $_->must('rpc', method => 'weft.echo', params => { a => 1 }) for @clients[ 0 .. 2 ];
            for my $i (0 .. $#clients) { $clients[$i]->must('unsubscribe', channel => 'chat:life') if $i % 2 }
            $_->leave for @clients;
        });
    gone();
};

check 'clients that vanish, by FIN and by RST, in the middle of everything' => sub {
    each_of(
        sub {
            my @clients = map { $node->client } 1 .. $_[0];
            $_->subscribe('chat:rain') for @clients;
            for my $i (0 .. $#clients) {
                my $client = $clients[$i];
                $client->send_json({ type => 'publish', id => 'p', payload => { channel => 'chat:rain', data => 'y' x 2000 } });
                $client->raw_send(substr Weft::Client::frame_bytes(text => '{"type":"ping"}' . ' ' x 2000), 0, $i * 40) if $i % 3 == 0;
                $client->hang_up(reset => $i % 2);
            }
        });
    gone();
};

check 'clients that are refused' => sub {
    my $head = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        . "Sec-WebSocket-Version: 13\r\n";
    each_of(
        sub {
            for my $i (1 .. $_[0]) {
                my $bad = $i % 4;
                if ($bad == 0) {
                    is($nginx->exchange("GET /own HTTP/1.1\r\n${head}Origin: https://bad.example\r\n\r\n")->{status}, 403, 'origin');
                }
                elsif ($bad == 1) {
                    is($nginx->exchange("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")->{status}, 400, 'no upgrade');
                }
                else {
                    my $client = Weft::Client->open(port => $node->port,
                        ticket => $bad == 2 ? 'no.ticket.atall' : $t->ticket(exp => 1000));
                    is($client->read_close->{code}, 4002, 'ticket');
                }
            }
        });
    gone();
};

check 'clients that send garbage' => sub {
    srand 7;
    each_of(
        sub {
            for my $i (1 .. $_[0]) {
                if ($i % 4 == 0) {    # instead of a handshake
                    my $client = Weft::Client->dial(port => $node->port);
                    $client->raw_send(join '', map { chr int rand 256 } 1 .. 400);
                    $client->hang_up;
                    next;
                }
                my $client = $node->client;
                if ($i % 4 == 1) { $client->raw_send(join '', map { chr int rand 256 } 1 .. 300) }
                elsif ($i % 4 == 2) { $client->send_text('{"type":"publish","id":"x","payload":{"channel":"chat:x","data":' . 'x' x ($i * 30)) }
                else { $client->raw_send(Weft::Client::frame_bytes(text => "\xff\xfe" x 100)) }
                $client->raw_send(Weft::Client::frame_bytes(text => 'half', fin => 0));
                $client->hang_up(reset => $i % 2);
            }
        });
    gone();
};

check 'readers that are too slow' => sub {
    my $publisher = $node->client;
    my $filler    = 'z' x 8000;
    each_of(
        sub {
            my @slow = map {
                Weft::Client->join(port => $slow, path => '/small', ticket => $t->ticket, receive_buffer => 4096)
            } 1 .. $_[0];
            $_->subscribe('chat:slow') for @slow;
            for (1 .. 12) { $publisher->must('publish', channel => 'chat:slow', data => $filler) }
            my $told = grep { ($_->read_close->{code} // 0) == 4014 } @slow;
            cmp_ok($told, '>', 0, "$told of $_[0] get to read 4014");
        });
    $publisher->leave;
    gone();
};

check 'clients that never answer a ping' => sub {
    each_of(
        sub {
            my @silent = map { Weft::Client->open(port => $node->port, path => '/quick', ticket => $t->ticket) } 1 .. $_[0];
            $_->be_silent                  for @silent;
            $_->read_close(no_answer => 1) for @silent;
        });
    gone();
};

check 'messages that are echoed' => sub {
    each_of(
        sub {
            my @clients = map { Weft::Client->open(port => $node->port, path => '/echo') } 1 .. $_[0];
            for my $i (0 .. $#clients) {
                $clients[$i]->raw_send(Weft::Client::frame_bytes(binary => 'e' x ($i * 200), fin => 0));
                $clients[$i]->raw_send(Weft::Client::frame_bytes(continuation => 'f'));
                $clients[$i]->next_frame;
            }
            $_->leave for @clients;
        });
    gone();
};

check 'messages that are compressed, whole, broken and far too long' => sub {
    my @headers = (headers => [ 'Sec-WebSocket-Extensions' => 'permessage-deflate' ]);
    my $squeeze = sub {
        my ($text) = @_;
        my ($deflate) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
        my $out = '';
        $deflate->deflate($text, $out);
        $deflate->flush($out, Z_SYNC_FLUSH);
        return substr $out, 0, -4;
    };
    each_of(
        sub {
            for my $path ('/flat', '/kept') {
                my @clients = map { Weft::Client->open(port => $node->port, path => $path, @headers)->allow_compressed } 1 .. $_[0] / 2;
                for my $i (0 .. $#clients) {
                    my $bytes = $squeeze->(join ' ', map { $_ * $i } 1 .. 200);
                    substr($bytes, 40, 1) = "\xff" if $i % 5 == 1;
                    $bytes = $squeeze->('0' x (2 << 20)) if $i % 5 == 2;
                    $clients[$i]->raw_send(Weft::Client::frame_bytes(text => $bytes, rsv => 4));
                    my $cut = int(length($bytes) / 2);
                    if ($i % 5 == 3) { $clients[$i]->raw_send(Weft::Client::frame_bytes(text => substr($bytes, 0, $cut), rsv => 4, fin => 0)) }
                    $clients[$i]->next_frame;
                }
                $_->hang_up for @clients;
            }
            my @readers = map {
                Weft::Client->open(port => $node->port, path => '/news', ticket => $t->ticket, @headers)->allow_compressed
            } 1 .. 10;
            $_->send_json({ type => 'subscribe', id => 's', payload => { channel => 'chat:news' } }) for @readers;
            for my $reader (@readers) { $reader->next_frame for 1, 2 }    # the greeting and the answer
            is($node->publish('chat:news', '"' . 'news ' x 100 . '"')->{status}, 202, 'published');
            ok($_->next_frame->{compressed}, 'an event comes compressed') for @readers;
            $_->hang_up for @readers;
        });
    gone();
};

check 'clients that are one too many' => sub {
    each_of(
        sub {
            my @clients = map { Weft::Client->open(port => $node->port, path => '/few', ticket => $t->ticket(sub => "few$_")) }
                map { ($_) x 4 } 1 .. $_[0] / 4;
            my $refused = grep { $_->next_message->{type} eq 'error' } @clients;
            is($refused, @clients / 2, 'half of them are refused');
            $_->hang_up for @clients;
        });
    gone();
};

check 'clients over TLS' => sub {
    for my $batch (1 .. 4) {    # each is a process of openssl's here, so there are few
        my @clients = map { Weft::Client->join(port => $tls, tls => 1, ca => $cert, ticket => $t->ticket) } 1 .. 5;
        $_->subscribe('chat:tls') for @clients;
        $clients[0]->must('publish', channel => 'chat:tls', data => 't' x 40_000);
        $_->event for @clients;
        $batch % 2 ? $_->leave : $_->hang_up for @clients;
    }
    gone();
};

check 'publications by POST, some abandoned' => sub {
    for my $i (1 .. $round) {
        if ($i % 5 == 0) {
            my $poster = Weft::Client->dial(port => $node->port);
            $poster->raw_send("POST /publish/chat:post HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n123");
            $poster->hang_up(reset => 1);
        }
        elsif ($i % 5 == 1) { is($node->publish('nosuch:x', '1')->{status},   404, 'no such channel') }
        elsif ($i % 5 == 2) { is($node->publish('chat:post', '{')->{status}, 400, 'no JSON') }
        else                { is($node->publish('chat:post', '"' . 'p' x ($i * 100) . '"')->{status}, 202, 'accepted') }
    }
    gone();
};

# A killed worker has no report of its own. Those who come after it are to take over what it left, and have one.
check 'workers killed under clients: the shared memory, weftd and the next worker forget theirs' => sub {
    $t->expect_in_log(qr/worker process \d+ exited on signal 9/);
    for my $kill (1 .. 4) {    # one worker by turns, then both at once
        my $joined = sub { return Weft::Client->open(port => $node->port, path => '/few', ticket => $t->ticket(sub => "killed$kill")) };
        my @few = map { $joined->() } 1, 2;
        is($_->next_message->{type}, 'connection_established', 'two of a user are let in') for @few;
        my @clients = map { $node->client(sub => "member$_") } 1 .. 20;
        for my $client (@clients) {
            $client->subscribe($_) for 'chat:kill', 'seen:kill', "chat:kill$kill";
        }
        $clients[0]->must('publish', channel => 'chat:kill', data => 'k' x 2000);
        # In the middle of a message, and of a publication.
        $_->raw_send(substr Weft::Client::frame_bytes(text => 'x' x 3000), 0, 1000) for @clients[ 0 .. 4 ];
        $_->send_json({ type => 'publish', id => 'p', payload => { channel => 'seen:kill', data => 'y' } }) for @clients[ 10 .. 14 ];

        my @workers = $nginx->workers;
        my %victim  = map { $_ => 1 } $kill < 3 ? $workers[ $kill - 1 ] : @workers;
        my (@lost, @kept);
        push @{ $victim{ $nginx->worker_of($_) } ? \@lost : \@kept }, $_ for @clients;
        my @held = grep { $victim{ $nginx->worker_of($_) } } @few;
        kill 'KILL', keys %victim;
        ok(wait_for { !grep { $_->is_open } @lost, @held }, scalar(@lost) . ' of them see the end');
        ok(wait_for { 2 == grep { !$victim{$_} } $nginx->workers }, 'the workers are replaced');
        $node->wait_linked;

        my $left = @kept + @few - @held;
        my $status;
        ok(wait_for { $status = $node->status; $status->{connections}{active} == $left && $status->{subscriptions} == 3 * @kept },
            "$left connections are left in the shared memory") or diag(explain($status));
        my @again = map { $joined->() } @held, 1;
        my @types = map { $_->next_message->{type} } @again;
        is("@types", join(' ', ('connection_established') x @held, 'error'), 'as many of the user are let in as were lost');
        ok(wait_for { metric('weftd_links{role="worker"}') == 2 }, 'weftd has the links of those who live');
        if (!@kept) {
            my ($published, $delivered) = map { metric("weftd_${_}_total") } qw(published delivered);
            is($node->publish("chat:kill$kill", '1')->{status}, 202, 'published');
            ok(wait_for { metric('weftd_published_total') > $published }, 'to weftd');
            is(metric('weftd_delivered_total'), $delivered, 'which knows of nobody who wants it');
        }
        my $watch = $node->client(sub => 'watch');
        $watch->subscribe('seen:kill');
        ok(wait_for { @{ $watch->must('presence', channel => 'seen:kill')->{members} } == @kept + 1 }, 'and no members but theirs');
        $_->hang_up for $watch, @kept, @few, @again;
        gone();
    }
};

check 'reloads under clients, with a wrong configuration in between' => sub {
    for my $reload (1 .. 5) {
        my @clients = map { $node->client } 1 .. 10;
        $_->subscribe("chat:reload$reload") for @clients;
        if ($reload == 3) {
            $t->expect_in_log(qr/"weft_channel"|"weft_ticket"/);
            for my $wrong ({ rules => "    weft_channel chat:* { publish on; }\n    weft_channel user:* { nonsense on; }\n" },
                { location => "weft_ticket key=$key max_age=never;" })
            {
                my $before = () = $nginx->error_log =~ /\[emerg\]/g;
                $nginx->write_configuration(%$wrong);
                $nginx->signal('HUP');
                ok(wait_for { $before < (() = $nginx->error_log =~ /\[emerg\]/g) }, 'a wrong configuration is refused');
            }
        }
        # By turns they move and are drained, as the new configuration says.
        my $moves = $reload % 2;
        my $drain = $http . ($moves ? '' : "    weft_reload drain;\n");
        my @old = $nginx->reload(http => $drain);
        if ($moves) {
            is($_->call('ping')->{type}, 'pong', 'served on') for @clients;
        } else {
            is($_->read_close->{code}, 1012, 'told to come back') for @clients;
        }
        ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers are gone');
        $node->wait_linked;
        $_->hang_up for @clients;
    }
};

check 'weftd killed and started again' => sub {
    for (1 .. 2) {
        my @clients = map { $node->client } 1 .. 10;
        $_->subscribe('chat:restart') for @clients;
        $weftd->crash;
        ok(Weft::Test::Node::unserved(@clients), 'noticed');
        is($node->publish('chat:restart', '1')->{status}, 503, 'POST is answered 503');
        $weftd->start;
        ok(Weft::Test::Node::served(@clients), 'served again');
        $clients[0]->must('publish', channel => 'chat:restart', data => 1);
        $_->leave for @clients;
    }
    gone();
};

check 'everything ends, with clients connected' => sub {
    my @clients = map { $node->client } 1 .. 20;
    $_->subscribe('chat:end') for @clients;
    $nginx->signal('QUIT');
    is($_->read_close->{code}, 1012, 'told to come back') for @clients;
    is($nginx->process->wait_end($Weft::Client::TIMEOUT), 0, 'nginx ends with status 0');
    $weftd->signal('TERM');
    is($weftd->process->wait_end($Weft::Client::TIMEOUT), 0, 'weftd too');
};

check 'valgrind has nothing to say of any process' => sub {
    my @reports = $t->reports;
    my $ended   = 0;
    for my $file (@reports) {
        my $report = slurp($file);
        my ($pid) = $file =~ /(\d+)$/;
        $report =~ s/^==$pid== //gm;
        # A process that was killed has no summary, but would have told of errors before.
        my ($errors) = $report =~ /^ERROR SUMMARY: (\d+) errors/m;
        $ended++ if defined $errors;
        $errors //= () = $report =~ /^\{\n   <insert_a_suppression_name_here>/mg;
        is($errors, 0, "process $pid") or diag($report);
    }
    # Two workers at the start, or who came after them, two more with each of five reloads, their master, and the last
    # weftd.
    cmp_ok($ended, '>=', 2 + 5 * 2 + 1 + 1, "$ended processes ended by themselves");
};

$t->finish;
done_testing;
