# weft_compression: RFC 7692 as a client sees it, with zlib in Perl as the other side.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Raw::Zlib;
use Test::More;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;

my $echoes = join '', map { "        location /$_->[0] { weft_echo; weft_rate off; $_->[1] }\n" } (
    [ plain   => '' ],
    [ none    => 'weft_compression on min_size=64;' ],
    [ server  => 'weft_compression on min_size=64 takeover=server;' ],
    [ client  => 'weft_compression on min_size=64 takeover=client;' ],
    [ both    => 'weft_compression on min_size=64 takeover=both;' ],
    [ small   => 'weft_compression on min_size=64 window=10 client_window=11 takeover=both;' ],
    [ tight   => 'weft_compression on min_size=64; weft_message_size 64k;' ],
    [ bomb    => 'weft_compression on min_size=64; weft_message_size 256k;' ],
    [ level1  => 'weft_compression on level=1;' ],
    [ level9  => 'weft_compression on level=9;' ],
);
my ($tls, $narrow) = map { $t->port } 1 .. 2;
my $cert = $t->prefix . '/cert.pem';
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        . " -addext subjectAltName=DNS:localhost -keyout '$cert.key' -out '$cert' 2>/dev/null") == 0
    or die "openssl makes no certificate\n";
my $node = $t->node(
    'a',
    listen => [ "127.0.0.1:$tls ssl sndbuf=16k", "127.0.0.1:$narrow sndbuf=16k" ],
    http   => "    weft_channel drop:* { publish on; overflow drop_oldest; }\n    weft_rate 100r/s burst=200 bytes=off;\n",
    server => $echoes
        . "        ssl_certificate $cert;\n        ssl_certificate_key $cert.key;\n"
        . "        location /slow { weft_websocket; weft_ticket key=$key; weft_send_queue 256k; weft_compression on takeover=both; }\n"
        . "        location /events { weft_websocket; weft_ticket key=$key; weft_compression on; }\n"
        . "        location /kept   { weft_websocket; weft_ticket key=$key; weft_compression on takeover=both; }\n",
);
my $nginx  = $node->nginx;
my $status = sub { $node->status->{compression} };

# ---- a client that compresses ----------------------------------------------------------------------------------------

my $TAIL = "\x00\x00\xff\xff";

# Opens with an offer (a string, or several), and dies unless the answer is the one that is expected, if one is.
sub offer {
    my ($path, $offers, %more) = @_;
    my @headers = map { ('Sec-WebSocket-Extensions' => $_) } ref $offers ? @$offers : $offers;
    return Weft::Client->open(
        port => $more{tls} ? $tls : $more{receive_buffer} ? $narrow : $node->port,
        ca   => $cert,
        path => "/$path", %more, headers => \@headers)->allow_compressed;
}

sub answer_of { my ($client) = @_; return ($client->answer =~ /^Sec-WebSocket-Extensions: (.*?)\r$/mi)[0] }

# One that agreed to something, with contexts of its own: those that aren't taken over are renewed for each message.
sub zclient {
    my ($path, $offer, %more) = @_;
    my $client = offer($path, $offer // 'permessage-deflate; client_max_window_bits', %more);
    my $answer = answer_of($client) // die "no extension was agreed to\n";
    my ($bits) = $answer =~ /client_max_window_bits=(\d+)/;
    $client->{z} = {
        bits        => $bits // 15,
        keep_sent   => $answer !~ /client_no_context_takeover/,
        keep_got    => $answer !~ /server_no_context_takeover/,
        server_bits => ($answer =~ /server_max_window_bits=(\d+)/)[0] // 15,
    };
    return $client;
}

sub squeeze {
    my ($client, $message) = @_;
    return "\0" if $message eq '';    # RFC 7692 §7.2.3.6; zlib flushes nothing twice in a row
    my $z = $client->{z};
    my $d = $z->{keep_sent} && $z->{deflate};
    ($d) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -$z->{bits}, -AppendOutput => 1) unless $d;
    $z->{deflate} = $d;
    my $out = '';
    $d->deflate($message, $out) == Z_OK          or die "deflate\n";
    $d->flush($out, Z_SYNC_FLUSH) == Z_OK        or die "flush\n";
    $out =~ s/\Q$TAIL\E\z//                      or die "no tail\n";
    return $out;
}

sub expand {
    my ($client, $frame) = @_;
    return $frame->{payload} unless $frame->{compressed};
    my $z = $client->{z};
    my $i = $z->{keep_got} && $z->{inflate};
    ($i) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -$z->{server_bits}, -AppendOutput => 1) unless $i;
    $z->{inflate} = $i;
    my ($in, $out) = ($frame->{payload} . $TAIL, '');
    my $code = $i->inflate($in, $out);
    die "inflate: $code\n" unless $code == Z_OK || $code == Z_BUF_ERROR;
    return $out;
}

sub frame { my ($opcode, $payload, %more) = @_; return Weft::Client::frame_bytes($opcode => $payload, %more) }

# Sends a message compressed, and returns the frame that comes back, with {message}.
sub echo {
    my ($client, $message, $opcode) = @_;
    $client->raw_send(frame($opcode // 'text', squeeze($client, $message), rsv => 4));
    my $frame = $client->next_frame;
    $frame->{message} = expand($client, $frame);
    return $frame;
}

sub words { my ($size, $seed) = @_; return substr(join(' ', map { 'word ' . ($_ * ($seed // 7)) % 97 } 1 .. $size), 0, $size) }
sub noise { my ($size) = @_; return join '', map { chr int rand 256 } 1 .. $size }

# ---- what is agreed --------------------------------------------------------------------------------------------------

my $no = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

check 'nothing is agreed where it is off, and a compressed message is a violation there' => sub {
    my $client = offer('plain', 'permessage-deflate');
    is(answer_of($client), undef, 'no answer to the offer');
    $client->raw_send(frame(text => "\xf2\x48\xcd\xc9\xc9\x07\x00", rsv => 4));
    is($client->read_close->{code}, 1002, 'RSV1');
};

check 'what is agreed is what was offered and is allowed' => sub {
    my @cases = (
        [ none   => 'permessage-deflate',                                                  $no ],
        [ none   => 'permessage-deflate; client_max_window_bits',                          $no ],
        [ none   => 'permessage-deflate; server_max_window_bits=12',                       "$no; server_max_window_bits=12" ],
        [ none   => 'permessage-deflate; client_max_window_bits=9',                        "$no; client_max_window_bits=9" ],
        [ none   => 'permessage-deflate; server_max_window_bits=8',                        undef ],
        [ none   => 'permessage-deflate; server_max_window_bits=8, permessage-deflate',    $no ],
        [ none   => [ 'x-other; a=b', 'permessage-deflate' ],                              $no ],
        [ none   => 'permessage-deflate; what',                                            undef ],
        [ none   => 'permessage-deflate; "',                                               undef ],
        [ server => 'permessage-deflate', 'permessage-deflate; client_no_context_takeover' ],
        [ client => 'permessage-deflate', 'permessage-deflate; server_no_context_takeover' ],
        [ both   => 'permessage-deflate', 'permessage-deflate' ],
        [ both   => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover', $no ],
        [ small  => 'permessage-deflate; client_max_window_bits',
            'permessage-deflate; server_max_window_bits=10; client_max_window_bits=11' ],
        [ small => 'permessage-deflate', 'permessage-deflate; client_no_context_takeover; server_max_window_bits=10' ],
    );
    for (@cases) {
        my ($path, $offers, $answer) = @$_;
        my $client = offer($path, $offers);
        is(answer_of($client), $answer, "$path: " . (ref $offers ? "@$offers" : $offers));
        $client->raw_send(frame(text => 'plain'));
        is($client->next_frame->{payload}, 'plain', 'and it works');
    }
};

# ---- messages --------------------------------------------------------------------------------------------------------

for my $path (qw(none server client both small)) {
    check "takeover and windows of /$path: messages go and come compressed" => sub {
        my $client = zclient($path);
        my $before = $status->();
        for my $message (words(70), words(500), words(500), words(50_000), words(500), words(60_000, 11)) {
            my $frame = echo($client, $message);
            is($frame->{opcode}, 1, 'text');
            ok($frame->{compressed}, 'compressed');
            cmp_ok(length $frame->{payload}, '<', length $message, 'and smaller');
            ok($frame->{message} eq $message, length($message) . ' bytes');
        }
        my $frame = echo($client, words(500));
        my $again = echo($client, words(500));
        if ($client->{z}{keep_got}) { cmp_ok(length $again->{payload}, '<', 20, 'it refers to the last one') }
        else                        { is($again->{payload}, $frame->{payload}, 'it stands for itself') }
        my $after = $status->();
        is($after->{in}{raw} - $before->{in}{raw}, 112_570, 'status knows what came');
        is($after->{out}{raw} - $before->{out}{raw}, 112_570, 'and what went');
        cmp_ok($after->{$_}{compressed} - $before->{$_}{compressed}, '<', 60_000, "smaller: $_") for qw(in out);
        is($client->leave->{code}, 1000, 'closed in peace');
    };
}

check 'short messages, and those that would not get smaller, go as they are' => sub {
    for my $path (qw(none both)) {
        my $client = zclient($path);
        for my $message (words(63), noise(5000), '', words(64), noise(300)) {
            my $frame = echo($client, $message, 'binary');
            is($frame->{opcode}, 2, 'binary');
            is($frame->{compressed}, length $message == 64, length($message) . ' bytes');
            ok($frame->{message} eq $message, 'the same');
            $client->raw_send(frame(binary => $message));
            ok(expand($client, $client->next_frame) eq $message, 'and when it came as it is');
        }
    }
};

check 'control frames stay as they are, between fragments too' => sub {
    my $client  = zclient('both');
    my $message = words(3000);
    my $packed  = squeeze($client, $message);
    $client->raw_send(frame(text => substr($packed, 0, 10), fin => 0, rsv => 4)
            . frame(ping         => words(100))
            . frame(continuation => substr($packed, 10, 1), fin => 0)
            . frame(continuation => '',                     fin => 0)
            . frame(continuation => substr($packed, 11)));
    my $pong = $client->next_frame;
    is_deeply([ @{$pong}{qw(opcode payload compressed)} ], [ 10, words(100), !!0 ], 'pong');
    my $frame = $client->next_frame;
    ok(expand($client, $frame) eq $message, 'the message');
};

check 'a compressed message may be cut anywhere' => sub {
    my $client = zclient('client');
    for my $cut (1 .. 40) {
        my $message = words(200, $cut);
        my $bytes   = frame(text => squeeze($client, $message), rsv => 4);
        $client->raw_send(substr $bytes, 0, $cut);
        $client->raw_send(substr $bytes, $cut);
        ok(expand($client, $client->next_frame) eq $message, "after $cut bytes");
    }
    my $bytes = frame(text => squeeze($client, words(100)), rsv => 4);
    $client->raw_send($_) for split //, $bytes;
    is(expand($client, $client->next_frame), words(100), 'and everywhere');
};

# ---- what must not be ------------------------------------------------------------------------------------------------

my $hello = "\xf2\x48\xcd\xc9\xc9\x07\x00";
my @wrong = (
    [ 'RSV1 on a continuation', 1002, frame(text => substr($hello, 0, 3), fin => 0, rsv => 4) . frame(continuation => substr($hello, 3), rsv => 4) ],
    [ 'RSV1 on a ping',                       1002, frame(ping   => '',     rsv => 4) ],
    [ 'RSV1 on a close',                      1002, frame(close  => '',     rsv => 4) ],
    [ 'RSV2',                                 1002, frame(text   => $hello, rsv => 2) ],
    [ 'RSV1 and RSV3',                        1002, frame(text   => $hello, rsv => 5) ],
    [ 'data that is no DEFLATE',              1007, frame(text   => 'Hello', rsv => 4) ],
    [ 'data that ends in a block',            1007, frame(text   => substr($hello, 0, 4), rsv => 4) ],
    [ 'a reference to nothing',               1007, frame(text   => "\xf2\x00\x11\x00\x00", rsv => 4), 'none' ],
    [ 'text that is not UTF-8',               1007, frame(text   => "\x00\x02\x00\xfd\xff\xc3\x28\x00", rsv => 4) ],
    [ 'text that ends inside a character',    1007, frame(text   => "\x00\x01\x00\xfe\xff\xc3\x00", rsv => 4) ],
);
for (@wrong) {
    my ($what, $code, $bytes, @paths) = @$_;
    check "$what ends with $code" => sub {
        for my $path (@paths ? @paths : qw(none both)) {
            my $client = zclient($path);
            $client->raw_send(frame(text => $hello, rsv => 4) . $bytes . frame(text => 'never read'));
            is($client->next_frame->{payload}, 'Hello', "$path: what came before is answered");
            is($client->read_close->{code}, $code, "closed with $code");
        }
    };
}

check 'a compression bomb costs no more than a message may' => sub {
    my ($d) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -Level => 9, -AppendOutput => 1);
    my $bomb = '';
    $d->deflate("\0" x (1 << 20), $bomb) for 1 .. 200;
    $d->flush($bomb, Z_SYNC_FLUSH);
    cmp_ok(length $bomb, '<', 256 << 10, '200 MB in less than 256k');
    my $worker = ($nginx->workers)[0];
    echo(zclient('bomb'), words(1000)) for 1 .. 5;
    my $before = $nginx->forget_peak($worker);
    for my $n (1 .. 20) {
        my $client = zclient('bomb');
        $client->raw_send(frame(binary => substr($bomb, 0, -4), rsv => 4));
        my $close = $client->read_close;
        is($close->{code}, 1009, 'too big') if $n == 1 || $close->{code} != 1009;
    }
    # While it is inflated, too: what is given back at once has been too much all the same.
    grew_less($nginx, $worker, $before, 8 << 20, 200 << 20, 'a bomb of 200 MB');
};

check 'a compressed message is bounded before it is inflated too' => sub {
    my $client = zclient('tight');
    $client->raw_send(frame(binary => '', length => 80_000, rsv => 4));
    is($client->read_close->{code}, 1009, 'when its length is known');
    my $fits = zclient('tight');
    my $most = noise(65_536);
    is(length echo($fits, $most, 'binary')->{message}, 65_536, 'what is incompressible may be a little longer');
    is(echo($fits, 'x' x 65_536)->{message}, 'x' x 65_536, 'just as large as allowed');
    $fits->raw_send(frame(binary => squeeze($fits, 'x' x 65_537), rsv => 4));
    is($fits->read_close->{code}, 1009, 'one byte more is not');
};

# ---- events ----------------------------------------------------------------------------------------------------------

sub subscriber {
    my ($path, $offer) = @_;
    my $client = $offer ? zclient($path, $offer, ticket => $t->ticket) : $node->client;
    $client->{z} //= {};
    next_text($client) if $offer;    # connection_established
    $client->send_text('{"type":"subscribe","id":"s","payload":{"channel":"chat:z"}}');
    like(next_text($client), qr/"subscribed"/, 'subscribed');
    return $client;
}

sub next_text { my ($client) = @_; return expand($client, $client->next_frame) }

check 'a publication is compressed once for all that agreed to the same' => sub {
    my @alike = map { subscriber('events', 'permessage-deflate') } 1 .. 5;
    my $small = subscriber('events', 'permessage-deflate; server_max_window_bits=9');
    my @kept  = map { subscriber('kept', 'permessage-deflate; client_max_window_bits') } 1 .. 2;
    my $plain = subscriber('ws');
    my $publisher = $node->client;
    for my $n (1 .. 20) {
        my $before = $status->();
        my $text   = words(2000, $n);
        $publisher->must('publish', channel => 'chat:z', data => $text);
        my $event = $plain->next_text;
        like($event, qr/"event".*\Q$text\E/, 'the plain one') if $n == 1;
        my @frames = map { $_->next_frame } @alike, $small, @kept;
        is(scalar(grep { $_->{compressed} } @frames), 8, 'all others get it compressed') if $n == 1;
        is($frames[$_]{payload}, $frames[0]{payload}, 'alike') for $n == 1 ? 1 .. 4 : ();
        my @clients = (@alike, $small, @kept);
        my @wrong = grep { expand($clients[$_], $frames[$_]) ne $event } 0 .. $#clients;
        is("@wrong", '', "$n: and the same");
        # Two wires and two contexts.
        is($status->()->{out}{raw} - $before->{out}{raw}, 4 * length $event, 'compressed four times') if $n == 1;
    }
};

check 'a compressed publish is executed' => sub {
    for my $path (qw(events kept)) {
        my $client = subscriber($path, 'permessage-deflate; client_max_window_bits');
        for my $n (1 .. 3) {
            my $data = words(300, $n);
            $client->raw_send(frame(text => squeeze($client, qq({"type":"publish","payload":{"channel":"chat:z","data":"$data"}})), rsv => 4));
            like(next_text($client), qr/"event".*"data":"\Q$data\E"/, "$path $n");
        }
    }
};

check 'a refused ticket is told as ever' => sub {
    my $client = offer('events', 'permessage-deflate');
    is(answer_of($client), undef, 'nothing is agreed with it');
    is($client->read_close->{code}, 4001, 'closed with 4001');
};

for my $way ('plainly', 'by TLS') {
    check "a slow reader with a context ($way) gets what it can make sense of, though events are dropped" => sub {
        my @how  = $way eq 'plainly' ? (receive_buffer => 4096) : (tls => 1);
        my $slow = zclient('slow', undef, ticket => $t->ticket, @how);
        next_text($slow);    # connection_established
        $slow->send_text('{"type":"subscribe","id":"s","payload":{"channel":"drop:z"}}');
        like(next_text($slow), qr/"subscribed"/, 'subscribed');
        my ($last, $events, $gaps, $sent) = (0, 0, 0, 0);
        for my $round (1 .. 3) {
            my $publisher = $node->client;    # another each time: what one may send at once is less than all three rounds
            for (1 .. 100) {
                my $text = ++$sent . ' ' . unpack('H*', noise(20_000));
                $publisher->must('publish', channel => 'drop:z', data => $text);
            }
            my $wrong = 0;
            while ($last < $sent) {
                my $frame = $slow->next_frame;
                my $text  = expand($slow, $frame);
                if ($text =~ /^\{"type":"gap"/) { $gaps++; next }
                my ($n) = $text =~ /"data":"(\d+) [0-9a-f]{40000}"/;
                $wrong++ unless $frame->{compressed} && $n && $n > $last;
                $last = $n // last;
                $events++;
            }
            is($wrong, 0, "round $round: all are whole and in order");
            is($last, $sent, 'the newest too');
        }
        cmp_ok($gaps,   '>', 0,     'gaps are told');
        cmp_ok($events, '<', $sent, "$events of $sent came");
        $slow->hang_up;
    };
}

# ---- bounds ----------------------------------------------------------------------------------------------------------

check 'without takeover a connection keeps no zlib state' => sub {
    my $worker = ($nginx->workers)[0];
    my @first  = map { my $c = zclient('none'); echo($c, words(3000)); $c } 1 .. 50;
    my $before = $nginx->memory_of($worker);
    my @all    = map { my $c = zclient('none'); echo($c, words(3000)); $c } 1 .. 400;
    my $each   = ($nginx->memory_of($worker) - $before - $Weft::Test::SANITIZER_MEMORY) / 400;
    cmp_ok($each, '<', 8192, "bytes a connection that has sent and received: $each");
};

check 'when there is no room for another way to compress, connections do without' => sub {
    my %answers;
    my @clients;
    for my $path (qw(none level1 level9)) {
        for my $bits (9 .. 15) {
            my $client = offer($path, "permessage-deflate; server_max_window_bits=$bits");
            $answers{ answer_of($client) ? 'agreed' : 'not' }++;
            push @clients, $client;
        }
    }
    cmp_ok($answers{agreed}, '<=', 15, 'no more than 15, beside the plain one');
    cmp_ok($answers{not} // 0, '>', 0, 'the others go without');
    for my $client (@clients) {
        $client->{z} = { server_bits => 15 };
        $client->raw_send(frame(text => words(3000)));
        my $frame = $client->next_frame;
        is($frame->{compressed}, !!answer_of($client), 'as was said');
        ok(expand($client, $frame) eq words(3000), 'and it works');
    }
    is(answer_of(offer('none', 'permessage-deflate')), $no, 'what there is already is agreed to still');
};

# ---- configuration ---------------------------------------------------------------------------------------------------

check 'nginx -t says what is wrong' => sub {
    my @cases = (
        [ 'maybe',                      qr{"maybe" in "weft_compression", expected on or off} ],
        [ 'off level=3',                qr{"weft_compression off" takes no further parameter} ],
        [ 'on level=0',                 qr{"level=0" in "weft_compression", expected level=1 to level=9} ],
        [ 'on level=10',                qr{level=10} ],
        [ 'on level=',                  qr{level=} ],
        [ 'on min_size=big',            qr{"min_size=big" in "weft_compression", expected a size} ],
        [ 'on min_size=9m',             qr{min_size=9m} ],
        [ 'on window=8',                qr{"window=8" in "weft_compression", expected window=9 to window=15} ],
        [ 'on window=16',               qr{window=16} ],
        [ 'on client_window=8',         qr{"client_window=8" in "weft_compression", expected client_window=9 to} ],
        [ 'on takeover=some',           qr{"takeover=some" in "weft_compression", expected takeover=none, } ],
        [ 'on fast',                    qr{"fast" in "weft_compression", expected level=NUMBER, min_size=SIZE, } ],
        [ 'on; weft_compression off',   qr{"weft_compression" directive is duplicate} ],
        [ '',                           qr{invalid number of arguments in "weft_compression"} ],
    );
    for (@cases) {
        my ($arguments, $says) = @$_;
        my ($code, $output) =
            $nginx->test_configuration($nginx->configuration(location => "weft_ticket key=$key; weft_compression $arguments;"));
        isnt($code, 0, "weft_compression $arguments: refused");
        like($output, $says, 'and says why');
        like($output, qr{try\.conf:\d+}, 'and where');
    }
    for my $good ('on', 'off', 'on level=9 min_size=0 window=9 client_window=15 takeover=both', 'on min_size=4k takeover=none') {
        my ($code, $output) = $nginx->test_configuration($nginx->configuration(location => "weft_ticket key=$key; weft_compression $good;"));
        is($code, 0, "weft_compression $good: accepted") or diag($output);
    }
};

check 'a location takes what its server says, and can say otherwise' => sub {
    my $other = $t->nginx('b', server => <<'SERVER');
        weft_compression on window=12;
        location /inherits { weft_echo; }
        location /without  { weft_echo; weft_compression off; }
        location /own      { weft_echo; weft_compression on takeover=both; }
SERVER
    my $agreed = sub {
        return answer_of(Weft::Client->open(
            port => $other->port, path => $_[0], headers => [ 'Sec-WebSocket-Extensions' => 'permessage-deflate' ]));
    };
    is($agreed->('/inherits'), "$no; server_max_window_bits=12", 'inherited');
    is($agreed->('/without'),  undef,                            'off');
    is($agreed->('/own'),      'permessage-deflate',             'as a whole');
};

$t->finish;
done_testing;
