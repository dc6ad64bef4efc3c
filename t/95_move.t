# weft_reload move: connections move from workers that go to those that come, and their clients don't notice.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my $http = <<"HTTP";
    weft_drain 4s;
    weft_reload move;
    weft_channel kept:* { publish on; history 1000 1h; }
    weft_channel room:* { publish on; presence on; }
    weft_channel once:* { publish on; max_members 1; }
    weft_log_format ends '\$weft_client_id \$weft_messages_in \$weft_messages_out \$weft_close_code';
HTTP
my $ticket = "weft_ticket key=$key; weft_rate off;";
my $server = <<"SERVER";
        location /logged { weft_websocket; $ticket weft_log ends.log ends; }
        location /both { weft_websocket; $ticket weft_compression on min_size=16 takeover=both; }
        location /shared { weft_websocket; $ticket weft_compression on min_size=16; }
        location /few { weft_websocket; $ticket weft_connections per_user=1; }
        location /sse { weft_sse; $ticket }
        location /lines { weft_stream; $ticket }
        location /poll { weft_poll hold=60s; $ticket }
        location /echo { weft_echo; weft_rate off; }
        location = /\xfcber { weft_websocket; $ticket }
        location /origin { weft_websocket; $ticket weft_origin http://a.example; }
        location = /basic { stub_status; }
SERVER
my $node  = $t->node('a', workers => 2, http => $http, location => $ticket, server => $server);
my $nginx = $node->nginx;

# Reloads, and waits until the old workers are gone: without connections nothing keeps them.
sub reloaded {
    my (%change) = @_;
    my @old = $nginx->reload(%change);
    ok($nginx->wait_gone(@old), 'the old workers are gone');
    return @old;
}

sub on_new_worker {
    my ($client, @old) = @_;
    my $worker = $nginx->worker_of($client) or return 0;
    return !grep { $_ == $worker } @old;
}

check 'a client stays connected, in its channels, on a new worker' => sub {
    my $client = $node->client;
    $client->subscribe('chat:one');
    $client->subscribe('kept:one');
    my @old = reloaded();
    ok(on_new_worker($client, @old), 'it is on a new worker');
    $node->publish('chat:one', '"after"');
    is($client->event->{data}, 'after', 'and hears what is published');
    $node->publish('kept:one', '"kept"');
    is($client->event->{data}, 'kept', 'in a channel with history, too');
    $client->must('publish', channel => 'chat:one', data => 'mine');
    is($client->event->{data}, 'mine', 'and publishes');
    is($client->call('ping')->{type}, 'pong', 'and is answered');
    $client->must('unsubscribe', channel => 'chat:one');
    my $close = $client->leave;
    is($close->{code}, 1000, 'and leaves as it likes');
};

check 'nothing is lost, repeated or out of order under publishers, over several reloads' => sub {
    my @clients = map { $node->client } 1 .. 60;
    my %got;
    for my $i (0 .. $#clients) {
        $clients[$i]->subscribe('chat:' . $i % 7);
        $clients[$i]->subscribe('kept:' . $i % 3);
    }
    my (%sent, $count);
    my $round = sub {
        for my $channel ((map { "chat:$_" } 0 .. 6), map { "kept:$_" } 0 .. 2) {
            my $answer = $node->publish($channel, ++$sent{$channel});
            die "publication $sent{$channel} of $channel was answered $answer->{status}\n" if $answer->{status} != 202;
        }
    };
    my @old;
    for my $reload (1 .. 4) {
        $round->() for 1 .. 3;
        my %before = map { $_ => 1 } $nginx->workers;
        push @old, keys %before;
        $nginx->signal('HUP');
        wait_for { $round->(); !grep { $before{$_} } $nginx->workers };
    }
    ok($nginx->wait_gone(@old), 'all old workers are gone');
    $round->();
    my ($wrong, $closed) = (0, 0);
    for my $i (0 .. $#clients) {
        # What the other worker took for publishing may be on its way still.
        my @messages;
        my $last = sub { my ($channel) = @_; grep { $_->{type} eq 'event' && $_->{payload}{channel} eq $channel && $_->{payload}{data} == $sent{$channel} } @messages };
        wait_for {
            my @more = eval { $clients[$i]->drain } or return ++$closed;
            push @messages, @more;
            return $last->('chat:' . $i % 7) && $last->('kept:' . $i % 3);
        };
        my %heard;
        push @{ $heard{ $_->{payload}{channel} } }, $_->{payload}{data} for grep { $_->{type} eq 'event' } @messages;
        for my $channel ('chat:' . $i % 7, 'kept:' . $i % 3) {
            my $want = join ' ', 1 .. $sent{$channel};
            my $have = join ' ', @{ $heard{$channel} // [] };
            next if $have eq $want;
            $wrong++;
            diag("client $i in $channel: expected 1 to $sent{$channel}, got $have") if $wrong < 4;
        }
        my @other = grep { !/^(?:event|pong)$/ } map { $_->{type} } @messages;
        $wrong++, diag("client $i was told @other") if @other;
    }
    is($closed, 0, 'no client was closed');
    is($wrong,  0, 'each has all of ' . join(', ', map { "$sent{$_} in $_" } sort keys %sent));
    is($node->status->{connections}{active}, 60, 'and they are counted');
    $_->leave for @clients;
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'until they leave');
};

check 'what a client publishes is answered once, and published once' => sub {
    my $listener = $node->client;
    $listener->subscribe('chat:busy');
    my @publishers = map { $node->client } 1 .. 8;
    my %before = map { $_ => 1 } $nginx->workers;
    my ($sent, %answered) = (0);
    $nginx->signal('HUP');
    my $more = 3;
    wait_for {
        for my $publisher (@publishers) {
            ++$sent;
            $publisher->send_json({ type => 'publish', id => "p$sent", payload => { channel => 'chat:busy', data => "$sent" } });
        }
        return !(grep { $before{$_} } $nginx->workers) && !$more--;
    };
    my $lost = 0;
    # weftd may have yet to answer the last of them.
    wait_for {
        for my $publisher (@publishers) {
            for my $message ($publisher->drain) {
                next unless ($message->{id} // '') =~ /^p/;
                $lost++ if $answered{ $message->{id} }++;
                $lost++ if $message->{type} ne 'published';
            }
        }
        return keys %answered >= $sent;
    };
    is(scalar keys %answered, $sent, "each of $sent publications is answered");
    is($lost, 0, 'once, and with success');
    my %heard;
    wait_for { $heard{ $_->{payload}{data} }++ for grep { $_->{type} eq 'event' } $listener->drain; keys %heard >= $sent };
    is(join(' ', grep { ($heard{$_} // 0) != 1 } 1 .. $sent), '', 'and heard once');
    $_->leave for @publishers, $listener;
};

check 'a message that is half sent is read to its end' => sub {
    my ($plain, $fragmented) = map { $node->client } 1 .. 2;
    my $listener = $node->client;
    $listener->subscribe('chat:half');
    my $json = sub { JSON::PP->new->encode({ type => 'publish', id => $_[0], payload => { channel => 'chat:half', data => $_[0] x 5 } }) };
    my $whole = Weft::Client::frame_bytes(text => $json->('abc'));
    $plain->raw_send(substr $whole, 0, 20);
    my $text  = $json->('def');
    $fragmented->raw_send(Weft::Client::frame_bytes(text => substr($text, 0, 10), fin => 0));
    my $rest = Weft::Client::frame_bytes(continuation => substr($text, 10));
    $fragmented->raw_send(substr $rest, 0, 9);
    sleep 0.3;    # for both to be read; else this tests less, and passes
    my @old = reloaded();
    ok(on_new_worker($plain, @old), 'moved within a message');
    $plain->raw_send(substr $whole, 20);
    is($listener->event->{data}, 'abc' x 5, 'which is published when its rest has come');
    $fragmented->raw_send(substr $rest, 9);
    is($listener->event->{data}, 'def' x 5, 'so is one in fragments');
    $_->leave for $plain, $fragmented, $listener;
};

check 'what waits for a slow reader goes with it' => sub {
    my $slow = $node->client;
    $slow->subscribe('chat:slow');
    my $big = 'x' x 8000;
    my $n   = 0;
    # More than the sockets' buffers take: some of it waits in the worker.
    $node->publish('chat:slow', '"' . ++$n . $big . '"') for 1 .. 90;
    my $waits = $node->status->{queues}{blocked} // $node->status->{slow}{blocked};
    my @old = reloaded();
    $node->publish('chat:slow', '"' . ++$n . $big . '"');
    my $bad = 0;
    for my $i (1 .. $n) { $bad++ unless $slow->event->{data} eq "$i$big" }
    is($bad, 0, "all $n publications, in order");
    ok(on_new_worker($slow, @old), 'from a new worker');
    $slow->leave;
};

check 'compression goes on, with and without contexts of its own' => sub {
    for my $path ('/both', '/shared') {
        my $client = Weft::Client->open(port => $node->port, path => $path, ticket => $t->ticket, headers => [ 'Sec-WebSocket-Extensions' => 'permessage-deflate' ])->allow_compressed;
        my ($deflate) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
        my ($inflate) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15, -AppendOutput => 1);
        my $say = sub {
            my ($what) = @_;
            ($deflate) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1) if $path eq '/shared';
            my $out = '';
            $deflate->deflate(JSON::PP->new->encode($what), $out);
            $deflate->flush($out, Z_SYNC_FLUSH);
            $client->raw_send(Weft::Client::frame_bytes(text => substr($out, 0, -4), rsv => 4));
        };
        my $hear = sub {
            my $frame = $client->next_frame;
            my $bytes = $frame->{payload};
            if ($frame->{compressed}) {
                ($inflate) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15, -AppendOutput => 1) if $path eq '/shared';
                my $in = "$bytes\x00\x00\xff\xff";
                my $out = '';
                $inflate->inflate($in, $out);
                $bytes = $out;
            }
            return JSON::PP->new->decode($bytes);
        };
        my $data = join ' ', map { "word$_" } 1 .. 40;
        $say->({ type => 'subscribe', id => 's', payload => { channel => 'chat:deflate' } });
        1 until $hear->()->{type} eq 'subscribed';
        my @old;
        for my $round (1 .. 3) {
            $say->({ type => 'publish', payload => { channel => 'chat:deflate', data => "$data $round" } });
            is($hear->()->{payload}{data}, "$data $round", "$path: message $round");
            push @old, reloaded() if $round < 3;
        }
        ok(on_new_worker($client, @old), "$path: moved twice");
        $client->hang_up;
    }
};

check 'streams move' => sub {
    for my $path ('/sse', '/lines') {
        my $client = Weft::Client->dial(port => $node->port);
        $client->raw_send("GET $path?channel=kept:s&channel=chat:s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " . $t->ticket . "\r\n\r\n");
        $client->_read_until(sub { ($client->{in} =~ s/subscribed/subscribed/g) >= 2 }, "$path is in its channels");
        my @old = reloaded();
        ok(on_new_worker($client, @old), "$path: on a new worker");
        my $before = length $client->{in};
        $node->publish('kept:s', qq("to$path"));
        $node->publish('chat:s', qq("and$path"));
        $client->_read_until(sub { substr($client->{in}, $before) =~ /"to\Q$path\E".*"and\Q$path\E"/s }, "$path hears on");
        pass("$path hears what is published");
        like(substr($client->{in}, $before), qr/^id: kept:s=.*chat:s=/m, 'its id speaks of both channels') if $path eq '/sse';
        $client->hang_up;
    }
};

check 'held polls are answered, as if their time were over, and go on elsewhere' => sub {
    my @polls = map { Weft::Client->dial(port => $node->port) } 1 .. 20;
    my $ask   = sub {
        my ($poll, $position) = @_;
        $poll->{in} = '';
        $poll->raw_send("GET /poll?channel=kept:held" . ($position ? "&position=$position" : '')
            . " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " . $t->ticket . "\r\n\r\n");
    };
    my $answer = sub {
        my ($poll) = @_;
        $poll->_read_until(sub { $poll->{in} =~ /\r\n\r\n/ && length($') >= ($poll->{in} =~ /^Content-Length: (\d+)/mi ? $1 : 0) }, 'an answer');
        return $poll->{in};
    };
    $ask->($_) for @polls;
    my ($position) = map { $answer->($_) =~ /^Weft-Position: (\S+)/m } @polls;
    $ask->($_, $position) for @polls;
    ok(wait_for { $node->status->{connections}{active} == 20 }, 'all are held');
    my @old     = $nginx->reload;
    my @answers = map { $answer->($_) } @polls;
    is(scalar(grep { m{^HTTP/1.1 20[04] } } @answers), 20, 'all are answered');
    is(scalar(grep { /reconnect/ } @answers), 0, 'without a word of a reload');
    ok($nginx->wait_gone(@old), 'the old workers are gone');
    $node->publish('kept:held', '"after"');
    for my $poll (@polls) {
        $poll->hang_up;
        $poll = Weft::Client->dial(port => $node->port);
        $ask->($poll, $position);
    }
    is(scalar(grep { $answer->($_) =~ /"after"/ } @polls), 20, 'and who asks again with its position misses nothing');
    $_->hang_up for @polls;
};

check 'members stay members' => sub {
    my ($watcher, $member) = map { $node->client(sub => $_) } qw(watcher member);
    $_->subscribe('room:1') for $watcher, $member;
    my @came = map { $watcher->expect('join')->{payload}{member}{user} } 1 .. 2;
    is("@came[sort { $came[$a] cmp $came[$b] } 0, 1]", 'member watcher', 'both are told');
    my @old = reloaded();
    ok(on_new_worker($_, @old), 'moved') for $watcher, $member;
    my @told = grep { $_->{type} ne 'pong' } $watcher->drain;
    is(join(' ', map { $_->{type} } @told), '', 'nobody is told that anybody came or went');
    is($watcher->must('presence', channel => 'room:1')->{count}, 2, 'both are there');
    $member->leave;
    is($watcher->expect('leave')->{payload}{member}{user}, 'member', 'until one leaves');
    $watcher->leave;
};

check 'a connection has one line in its log, and the counts go on' => sub {
    my $client = $node->client(with => { path => '/logged' });
    my $id     = $client->greeting->{client_id};
    $client->call('ping') for 1 .. 3;
    reloaded();
    $client->call('ping') for 1 .. 2;
    $client->leave;
    my @lines;
    ok(wait_for { @lines = grep { /^\Q$id\E / } split /\n/, Weft::Test::slurp("$nginx->{folder}/ends.log") }, 'it is logged');
    is_deeply(\@lines, ["$id 5 6 1000"], 'once, with all that it said and heard');
};

check 'a location may be named by any bytes' => sub {
    my $client = $node->client(with => { path => '/%FCber' });
    my $other  = $node->client;
    my @old    = reloaded();
    ok(on_new_worker($client, @old), 'who is there moves');
    ok(on_new_worker($other,  @old), 'as the others do');
    $_->leave for $client, $other;
};

check 'limits count a connection once' => sub {
    my $first = $node->client(with => { path => '/few' });
    reloaded();
    my $second = Weft::Client->open(port => $node->port, path => '/few', ticket => $t->ticket);
    is($second->read_close->{code}, 4015, 'a second one is too many');
    ok($first->is_open, 'the first stays');
    $first->leave;
    ok(wait_for { my $again = eval { $node->client(with => { path => '/few' }) }; $again && $again->leave }, 'when it leaves, there is room');
};

check 'echoes move' => sub {
    my $client = Weft::Client->open(port => $node->port, path => '/echo');
    my @old = reloaded();
    $client->send_text('hello');
    is($client->next_text, 'hello', 'it comes back');
    ok(on_new_worker($client, @old), 'from a new worker');
    $client->hang_up;
};

check 'who has no location any more is told to reconnect' => sub {
    my $client = $node->client(with => { path => '/logged' });
    my $stays  = $node->client;
    my @old    = $nginx->reload(server => '');
    my $close  = $client->read_close;
    is($close->{code}, 1012, 'closed with 1012');
    ok((grep { $_->{type} eq 'reconnect' } @{ $close->{messages} }), 'after a word');
    ok($nginx->wait_gone(@old), 'the old workers are gone');
    ok(on_new_worker($stays, @old), 'others move all the same');
    $stays->leave;
    $nginx->reload;
};

check 'new limits hold at once' => sub {
    my $client = $node->client;
    reloaded(location => "$ticket weft_message_size 200;");
    $client->publish_json('chat:limits', '"' . 'x' x 300 . '"');
    is($client->read_close->{code}, 1009, 'a message that was not too big before is');
    reloaded();
};

check 'what the new configuration takes away ends' => sub {
    my $client  = $node->client;
    my $foreign = $node->client(with => { path => '/origin', origin => 'http://a.example' });
    $client->subscribe($_) for 'chat:gone', 'kept:stays';
    my @old = $nginx->reload(rules => "    weft_channel news:* { publish on; }\n", server => $server =~ s/a\.example/b.example/r);
    my $told = $client->expect('unsubscribed')->{payload};
    is("$told->{channel} $told->{code}", 'chat:gone 4010', 'a channel without a rule is left');
    $node->publish('kept:stays', '"after"');
    is($client->event->{data}, 'after', 'another goes on');
    is($foreign->read_close->{code}, 1012, 'who is of an origin that is not let in any more is to come anew');
    ok($nginx->wait_gone(@old), 'the old workers are gone');
    ok(on_new_worker($client, @old), 'the client has moved');
    reloaded();
    $client->leave;
};

check 'nginx counts them as its own' => sub {
    my $active = sub { my $page = $nginx->request(GET => '/basic')->{content}; return ($page =~ /^Active connections: (\d+)/)[0] };
    ok(wait_for { $active->() == 1 }, 'the one that asks');
    my @clients = map { $node->client } 1 .. 20;
    ok(wait_for { $active->() == 21 }, 'and clients') or diag($active->());
    reloaded() for 1 .. 2;
    ok(wait_for { $active->() == 21 }, 'as many after two reloads') or diag($active->());
    $_->leave for @clients;
    ok(wait_for { $active->() == 1 }, 'and none when they have left') or diag($active->());
};

check 'a new worker that is killed meanwhile takes nobody with it but its own' => sub {
    my @clients = map { $node->client } 1 .. 80;
    $_->subscribe('chat:killed') for @clients;
    $t->expect_in_log(qr/worker process \d+ exited on signal 9/);
    my %old = map { $_ => 1 } $nginx->workers;
    $nginx->signal('HUP');
    my $victim;
    wait_for { ($victim) = grep { !$old{$_} } $nginx->workers };
    sleep 0.12;    # about when they come; it holds at any other moment, too
    kill 'KILL', $victim;
    ok($nginx->wait_gone(keys %old), 'the old workers are gone');
    $node->wait_linked;
    $node->publish('chat:killed', '"after"');
    my %ended;
    for my $client (@clients) {
        my $what = eval { $client->event->{data} } // eval { ($client->read_close->{code} // 'cut') } // 'cut';
        $ended{$what}++;
    }
    is(join(' ', grep { !/^(?:after|cut|1012|1006)$/ } keys %ended), '', 'each is served, or was told, or was cut with its worker: '
        . join(', ', map { "$ended{$_} $_" } sort keys %ended));
    $_->hang_up for @clients;
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'none is counted that is not there');
};

check 'a worker of another Weft is left alone' => sub {
    my $client = $node->client;
    my $folder = $nginx->folder . '/nginx.pid.weft';
    my $owner  = (stat $folder)[4];
    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        # It says that it is ready for connections, but speaks for version 0.0.0. Passed on is what it is told.
        $SIG{PIPE} = 'IGNORE';    # who has moved before it answers is gone
        POSIX::setuid($owner) if $> == 0;
        my $listener = IO::Socket::UNIX->new(Local => "$folder/$$", Listen => 8) or POSIX::_exit(1);
        my $welcome  = "\x08\x01\x20\x01\x32\x05" . '0.0.0';
        my $frame    = "\x12" . chr(length $welcome) . $welcome;
        syswrite $out, 'L';
        while (my $peer = $listener->accept) {
            syswrite $peer, pack('N', length $frame) . "\0" . $frame;
            syswrite $out, $_ while sysread $peer, $_, 65536;
        }
        POSIX::_exit(0);
    }
    close $out;
    sysread $in, my $listens, 1;
    is($listens, 'L', 'it listens');
    # Who has moved before it answers hasn't asked it for long.
    my @old;
    my $said = qr/connections don't move to worker $pid, which is of another version: "0\.0\.0"/;
    ok(wait_for { @old = reloaded(); $nginx->error_log =~ $said }, 'the log says so');
    kill KILL => $pid;
    waitpid $pid, 0;
    my $told = do { local $/ = undef; <$in> };
    my @messages;
    push @messages, unpack 'x4 x C', substr $told, 0, 5 + unpack('N', $told), '' while length $told >= 5;
    is_deeply(\@messages, [ (0x0a) x @messages ], 'it is told who asks, and nothing else: ' . @messages . ' times');
    ok(on_new_worker($client, @old), 'the client moves to another');
    $client->leave;
    unlink "$folder/$pid";
};

check 'who finds no room in the new workers is told to reconnect' => sub {
    my @clients = map { $node->client } 1 .. 80;
    $_->subscribe('chat:room') for @clients;
    $t->expect_in_log(qr/worker_connections are not enough/);
    my @old = $nginx->reload(connections => 40);
    ok($nginx->wait_gone(@old), 'the old workers are gone');
    $nginx->reload(connections => 4096);
    wait_for { $node->publish('chat:room', '"after"')->{status} == 202 };
    my %ended;
    for my $client (@clients) {
        my $event = eval { $client->event };
        $ended{ $event ? 'served' : eval { $client->read_close->{code} } // 'cut' }++;
    }
    is(join(' ', sort keys %ended), '1012 served', 'some moved, and the others were told: '
        . join(', ', map { "$ended{$_} $_" } sort keys %ended));
    $_->hang_up for @clients;
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'none is counted that is not there');
};

check 'when weftd goes in the middle of it, nobody is left behind' => sub {
    for my $round (1 .. 3) {
        my @clients = map { $node->client } 1 .. 100;
        $_->subscribe('kept:link') for @clients;
        my @old = $nginx->workers;
        $nginx->signal('HUP');
        sleep 0.05 * $round;    # before, while, or after they move
        $node->weftd->crash;
        $node->weftd->start;
        ok($nginx->wait_gone(@old), 'the old workers are gone');
        $node->wait_linked;
        $node->publish('kept:link', qq("round $round"));
        my %ended;
        for my $client (@clients) {
            my $what;
            wait_for {
                my $event = eval { $client->event };
                $what = $event ? $event->{data} : eval { $client->read_close->{code} } // 'cut';
                return !$event || $what eq "round $round";
            };
            $ended{ $what // 'nothing' }++;
        }
        is(join(' ', grep { !/^(?:round $round|1012)$/ } keys %ended), '', 'each hears on, or was told to reconnect: '
            . join(', ', map { "$ended{$_} $_" } sort keys %ended));
        $_->hang_up for @clients;
        ok(wait_for { $node->status->{connections}{active} == 0 && $node->status->{subscriptions} == 0 }, 'none is counted that is not there');
    }
};

check 'when no worker takes them, clients are told to reconnect as ever' => sub {
    my $client = $node->client;
    $nginx->reload(http => $http =~ s/weft_reload move/weft_reload drain/r);
    my $close = $client->read_close;
    is($close->{code}, 1012, 'closed with 1012');
    is((grep { $_->{type} eq 'reconnect' } @{ $close->{messages} }), 1, 'after a word');
};

$t->finish;
done_testing;
