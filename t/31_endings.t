# How workers end: worker_shutdown_timeout, quit and stop in every phase of a connection's life, reloads in a row, kill -9.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);
use Weft::Test;

my $t      = Weft::Test->new;
my $key    = $t->key_file;
my $ticket = $t->ticket;
my $open   = "weft_ticket key=$key; weft_rate off;";

my $handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer $ticket\r\n\r\n";

# One connection in each phase that a worker can be told to go in: name => client.
sub one_in_each_phase {
    my ($node) = @_;
    my %phase;
    $phase{"connected, nothing sent"} = Weft::Client->dial(port => $node->port);
    ($phase{"half a handshake"} = Weft::Client->dial(port => $node->port))->raw_send(substr $handshake, 0, 60);
    my $kept = $phase{"kept alive after a request"} = Weft::Client->dial(port => $node->port);
    $kept->raw_send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    $kept->_read_until(sub { $kept->{in} =~ /\r\n\r\n\{.*\}\s*$/s }, 'the status');
    $phase{"open"} = $node->client;
    ($phase{"subscribed"} = $node->client)->subscribe('chat:phases');
    ($phase{"half a frame sent"} = $node->client)
        ->raw_send(substr Weft::Client::frame_bytes(text => '{"type":"ping"}' . ' ' x 200), 0, 100);
    ($phase{"a fragment sent"} = $node->client)->raw_send(Weft::Client::frame_bytes(text => '{"ty', fin => 0));
    my $refused = $phase{"refused, its close unanswered"} = Weft::Client->open(port => $node->port);
    $refused->next_frame;
    my $faulty = $phase{"closed for a violation, unanswered"} = $node->client;
    $faulty->raw_send(Weft::Client::frame_bytes(3 => ''));
    $faulty->next_frame;
    my $slow = $phase{"with data queued"} = $node->client(with => { receive_buffer => 4096 });
    $slow->subscribe('chat:queued');
    my $publisher = $phase{"a publisher"} = $node->client;
    $publisher->must('publish', channel => 'chat:queued', data => 'q' x 30_000) for 1 .. 200;
    return %phase;
}

# Everybody sees the end; whoever doesn't is named.
sub all_end {
    my (%phase) = @_;
    for my $name (sort keys %phase) {
        my $client = $phase{$name};
        ok(wait_for { !$client->is_open }, "$name: sees the end");
    }
    return;
}

check 'worker_shutdown_timeout ends what weft_drain would keep' => sub {
    # Longer than anything waits here: who is gone was closed by the time-out.
    # A request whose head isn't whole yet is kept by nginx itself until client_header_timeout.
    my $node = $t->node('timeout', workers => 2, main => "worker_shutdown_timeout 1s;\n",
        http => "    weft_drain 600s;\n    weft_reload drain;\n    client_header_timeout 2s;\n", location => $open);
    my @clients = map { $node->client } 1 .. 50;
    $_->subscribe('chat:timeout') for @clients;
    my %phase = one_in_each_phase($node);
    my @old   = $node->nginx->reload;
    my $new   = $node->client;
    $new->subscribe('chat:timeout');
    ok($node->nginx->wait_gone(@old), 'the old workers are gone');
    all_end(%phase);
    is(scalar(grep { my $client = $_; wait_for { !$client->is_open } } @clients), 50, 'all clients see the end');
    is($new->call('ping')->{type}, 'pong', 'a client of the new workers is served on');
    my $status;
    ok(wait_for { $status = $node->status; $status->{connections}{active} == 1 && $status->{subscriptions} == 1 },
        'and the only one counted') or diag(explain($status));
    unlike($node->nginx->error_log, qr/open socket/, 'no socket was left open');

    $node->nginx->signal('QUIT');
    is($node->nginx->process->wait_end, 0, 'quit ends in time, too');
    ok(wait_for { !$new->is_open }, 'with the last client');
};

check 'worker_shutdown_timeout ends a publish that waits for weftd' => sub {
    my $node   = $t->node('waiting', main => "worker_shutdown_timeout 1s;\n", http => "    weft_drain 600s;\n", location => $open);
    my $client = $node->client;
    $node->weftd->signal('STOP');
    my @posts = map { Weft::Client->dial(port => $node->port) } 1 .. 5;
    $_->raw_send("POST /publish/chat:x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1") for @posts;
    $client->send_json({ type => 'subscribe', id => 's', payload => { channel => 'chat:x' } });
    is($client->call('ping')->{type}, 'pong', 'the worker has read that much');
    my @old = $node->nginx->reload;
    ok($node->nginx->wait_gone(@old), 'the old worker is gone');
    is(scalar(grep { my $post = $_; wait_for { !$post->is_open } } @posts), 5, 'every publisher sees the end');
    ok(wait_for { !$client->is_open }, 'the client too');
    $node->weftd->signal('CONT');
    $node->wait_linked;
};

for my $signal (qw(QUIT TERM)) {
    check "SIG$signal ends connections in every phase" => sub {
        my $node    = $t->node("phases-$signal", workers => 2, http => "    weft_drain 1s;\n", location => $open);
        my %phase   = one_in_each_phase($node);
        my @workers = $node->nginx->workers;
        $node->nginx->signal($signal);
        # A graceful end waits for requests that have begun.
        delete($phase{$_})->hang_up for $signal eq 'QUIT' ? ('connected, nothing sent', 'half a handshake') : ();
        all_end(%phase);
        is($node->nginx->process->wait_end, 0, 'nginx ends with status 0');
        unlike($node->nginx->error_log, qr/open socket/, 'no socket was left open');
    };
}

check 'the handshake that was half sent at a reload is completed by the old worker, and drained' => sub {
    my $node   = $t->node('late', http => "    weft_drain 1s;\n    weft_reload drain;\n", location => $open);
    my $client = Weft::Client->dial(port => $node->port);
    $client->raw_send(substr $handshake, 0, 60);
    is($node->client->call('ping')->{type}, 'pong', 'the worker has seen it');
    my @old = $node->nginx->reload;
    $client->raw_send(substr $handshake, 60);
    $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
    my $close = $client->read_close;
    is($close->{messages}[0]{type},  'connection_established', 'it is greeted');
    is($close->{messages}[-1]{type}, 'reconnect',              'and sent away');
    is($close->{code},               1012,                     'with 1012');
    ok($node->nginx->wait_gone(@old), 'the old worker is gone');
};

check 'a POST that weftd has not answered at a reload is answered by the old worker' => sub {
    my $node  = $t->node('asked', location => $open);
    my $nginx = $node->nginx;
    $node->weftd->signal('STOP');
    my $poster = Weft::Client->dial(port => $node->port);
    $poster->raw_send("POST /publish/chat:row HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1");
    my ($old) = $nginx->workers;
    ok(wait_for { $node->status->{link}{pending} == 1 }, 'the worker waits for weftd') or diag(explain($node->status));
    $nginx->signal('HUP');
    ok(wait_for { $nginx->error_log =~ /\] $old#\d+: gracefully shutting down/ }, 'the worker is told to go');
    $node->weftd->signal('CONT');
    # On a slow machine weftd may be taken for gone meanwhile, and that is said.
    $poster->_read_until(sub { $poster->{in} =~ m{^HTTP/1\.1 (?:202|503) .*?\r\n\r\n\{.*?\}}s }, 'the answer');
    ok($nginx->wait_gone($old), 'then the worker goes');
    unlike($nginx->error_log, qr/open socket/, 'no socket was left open');
};

check 'reloads in a row, not waited for: every POST is accepted, every client served or told to come back' => sub {
    my $node    = $t->node('row', workers => 2, http => "    weft_drain 1s;\n", location => $open);
    my $nginx   = $node->nginx;
    my @clients = map { $node->client } 1 .. 20;
    my %seen    = map { $_ => 1 } $nginx->workers;
    my %answers;
    for (1 .. 6) {
        $nginx->signal('HUP');
        for (1 .. 15) {
            $answers{ $node->publish('chat:row', $_)->{status} }++;
            $seen{$_} = 1 for $nginx->workers;
            sleep 0.02;    # a few reloads at once, and a few apart
        }
        push @clients, $node->client;
    }
    is_deeply(\%answers, { 202 => 90 }, '90 publications are accepted');
    my ($told, $open) = (0, 0);
    my %last;
    ok(
        wait_for {
            my $log = $nginx->error_log;
            %last = map { $_ => 1 } grep { $log !~ /\] $_#\d+: gracefully shutting down/ } $nginx->workers;
            keys %last == 2;
        },
        'in the end two workers are not told to go');
    for my $client (@clients) {
        if ($last{ $nginx->worker_of($client) // 0 }) { $open++; next }
        my $close = $client->read_close;
        $told++ if ($close->{code} // 0) == 1012 && grep { $_->{type} eq 'reconnect' } @{ $close->{messages} };
    }
    is($told + $open, scalar @clients, "of @{[scalar @clients]} clients $told are told to come back, $open stay");
    ok($nginx->wait_gone(grep { !$last{$_} } keys %seen), 'all other workers are gone');
    $node->wait_linked;
    my $status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == $open }, "$open are counted") or diag(explain($status));
};

check 'kill -9 of a worker: the clients of the other notice nothing' => sub {
    my $node = $t->node('killed', workers => 2, location => $open);
    my ($one, $two) = $node->client_per_worker;
    my $nginx  = $node->nginx;
    my $victim = $nginx->worker_of($one);
    my @more   = map { $node->client } 1 .. 30;
    my ($lost, $kept) = ([ $one ], [ $two ]);
    push @{ $nginx->worker_of($_) == $victim ? $lost : $kept }, $_ for @more;
    $_->subscribe('chat:killed') for @$lost, @$kept;
    ok(wait_for { $node->status->{subscriptions} == 32 }, 'to begin with 32 are subscribed');
    $t->expect_in_log(qr/worker process $victim exited on signal 9/);
    kill 'KILL', $victim;
    # Publications go on at once, over the worker that is left or the one that comes.
    for (1 .. 20) {
        wait_for { $node->publish('chat:killed', $_)->{status} == 202 };
        select undef, undef, undef, 0.01;
    }
    for my $client (@$kept) {
        my @got = map { $client->event->{data} } 1 .. 20;
        is("@got", join(' ', 1 .. 20), 'a client of the other worker gets all, in order') or last;
    }
    is(scalar(grep { my $client = $_; wait_for { !$client->is_open } } @$lost), scalar @$lost, 'its own see the end');
    ok(wait_for { $nginx->workers == 2 && !grep { $_ == $victim } $nginx->workers }, 'another worker comes');
    $node->wait_linked;
    my $status;
    ok(
        wait_for {
            $status = $node->status;
            $status->{connections}{active} == @$kept && $status->{subscriptions} == @$kept && $status->{channels} == 1
        }, 'only what lives is counted') or diag(explain($status));
};

check 'kill -9 of a worker that drains' => sub {
    my $node    = $t->node('draining', http => "    weft_drain 600s;\n    weft_reload drain;\n", location => $open);
    my @clients = map { $node->client } 1 .. 20;
    my ($old)   = $node->nginx->reload;
    my $new     = $node->client;
    $t->expect_in_log(qr/worker process $old exited on signal 9/);
    kill 'KILL', $old;
    is(scalar(grep { my $client = $_; wait_for { !$client->is_open } } @clients), 20, 'all its clients see the end');
    my $status;
    ok(wait_for { $status = $node->status; $status->{connections}{active} == 1 && $status->{workers} == 1 }, 'and are not counted')
        or diag(explain($status));
    is($new->call('ping')->{type}, 'pong', 'a client of the new worker is served');
    $new->hang_up;
    $node->nginx->signal('TERM');
    is($node->nginx->process->wait_end, 0, 'status 0');
};

$t->finish;
done_testing;
