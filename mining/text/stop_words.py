"""Stop words: the most frequent function words of some languages, which say little of a topic.

English has Lucene's 33. The others are short lists of our own of the same kind: articles, common
prepositions, conjunctions and pronouns, forms of be and have. What is not here keeps all words:
idf weighs them down in any case. A list is part of what terms are: one that changes raises
`_VERSION` in `languages`.
"""

from __future__ import annotations

from collections.abc import Mapping

STOP_WORDS: Mapping[str, str] = {
    "danish": """
        af at da de dem den der deres det dig din dog du efter eller en end er et for fra ham han
        har havde hun hvad hvis i ikke ind jeg kan man med men mig min ned nu når og også om op os
        over på sig sin skal som så til ud under var vi vil være
    """,
    "dutch": """
        aan al als bij dan dat de der deze die dit door dus een en er had heb hebben heeft hem het
        hij hoe hun ik in is je kan maar me men met mij na naar niet nog nu of om ons ook op over
        te tot u uit van veel voor was wat we wel werd wie wij worden wordt ze zich zij zijn zo
    """,
    "english": """
        a an and are as at be but by for if in into is it no not of on or such that the their then
        there these they this to was will with
    """,
    "finnish": """
        ei eivät en et että he hän ja jo joka jos jotka kanssa kuin kun me mikä mitä mukaan mutta
        myös ne niin nyt ole oli on olivat ovat se sekä sen siinä sitä tai te tämä tämän vaan vai
        vain
    """,
    "french": """
        a ai as au aux avec avait avoir c ce ces cet cette d dans de des du elle elles en es est et
        eu il ils j je l la le les leur leurs lui m ma mais me mes moi mon même n ne nos notre nous
        on ont ou par pas pour qu que qui s sa sans se ses son sont sur t ta te tes toi ton tu un
        une vos votre vous y à été être
    """,
    "german": """
        aber als am an auch auf aus bei bin bis bist da dann das dass daß dem den denn der des die
        dies diese diesem diesen dieser dieses doch du durch ein eine einem einen einer eines er es
        für hat hatte ich ihm ihn ihr ihre im in ist ja kann man mein mich mir mit nach nicht noch
        nur ob oder ohne sein seine sich sie sind so über um und uns unter vom von vor war waren
        was weil wenn werden wie wir wird wurde zu zum zur
    """,
    "hungarian": """
        a abban ahhoz aki akik akkor ami amely amelyek az azok azt azzal be csak de egy egyik el
        ennek ez ezek ezt ezzel fel ha hogy igen is itt ki le lesz meg mert még mi mint most már
        nem ott pedig s sem sok szerint után vagy van vannak volt volna vele és ő ők
    """,
    "italian": """
        a agli ai al alla alle allo anche c che chi ci coi col come con cui d da dagli dai dal
        dalla dalle dallo degli dei del della delle dello di e ed era essere gli ha hanno ho i il
        in io l la le lei li lo loro lui ma mi ne negli nei nel nella nelle nello noi non o per più
        quella quello questa questo se si sia sono su sugli sui sul sulla sulle sullo suo tra un
        una uno è
    """,
    "norwegian": """
        alle at av da de den der dere deres det din du eller en er et etter for fra ham han har hun
        hva hvis i ikke inn jeg kan man med men meg min mot ned nå når og også om opp oss over på
        seg sin skal som så til under ut var ved vi vil være å
    """,
    "portuguese": """
        a ao aos as até com como da das de do dos e ela elas ele eles em entre era essa esse esta
        este está eu foi há isso isto já lhe mais mas me mesmo meu minha muito na nas nem no nos
        não nós o os ou para pela pelas pelo pelos por qual quando que quem se sem ser seu sua são
        só também te tem um uma você à às é
    """,
    "russian": """
        а без бы был была были было быть в вам вас во вот все всё вы где да для до его ее её если
        есть еще ещё же за здесь и из или им их к как ко когда которая которые который кто ли мне
        мы на над не него нее неё нет ни но ну о об он она они оно от по под при с так также там то
        тоже только у уже что чтобы эта эти это этого этой этом этот я
    """,
    "spanish": """
        a al como con cual cuando de del desde donde e el ella ellas ellos en entre era eran es esa
        ese eso esta este esto están está fue ha han hasta hay la las le les lo los me mi mis muy
        más ni no nos o os otra otro para pero por porque que quien se ser si sin sobre son su sus
        también te tu un una uno y ya yo él
    """,
    "swedish": """
        alla att av blev bli blir de dem den denna deras dess det detta dig din du där då efter
        ej eller en er ett från för ha hade han har henne hennes hon hur här i icke in inte jag kan
        man med men mig min mot ni nu när och också om oss på sig sin ska som så till under upp ut
        var vi vid vill är över
    """,
}
